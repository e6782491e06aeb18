"""The whole shop.  insula run shop.system:shop"""

from insula import System
from shop.billing.module import billing
from shop.catalog.module import catalog
from shop.customers.module import customers
from shop.inventory.module import inventory
from shop.notifications.module import notifications
from shop.orders.module import orders
from shop.shipping.module import shipping

shop = System("shop", catalog, customers, orders, inventory, billing, shipping, notifications)
