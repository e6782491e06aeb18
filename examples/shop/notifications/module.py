"""The notifications module, its table, and the mail sender it uses."""

from sqlalchemy import Column, MetaData, String, Table, Text

from insula import Module
from shop.notifications.mail_sender import LoggingMailSender, MailSender

notifications = Module("notifications", tables=MetaData(), slices="shop.notifications")
notifications.bind(MailSender, LoggingMailSender)

mails = Table(
    "mails",
    notifications.tables,
    Column("order_id", String, primary_key=True),
    Column("occasion", String, primary_key=True),
    Column("recipient", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("body", Text, nullable=False),
)
