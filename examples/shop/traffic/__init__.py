"""A shop full of customers: seeds the running shop over HTTP and places orders.  python -m shop.traffic --help"""
