"""Checks the shop's invariants over every module's data.  python -m shop.audit --help"""
