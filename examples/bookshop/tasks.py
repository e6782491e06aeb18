"""The Celery application. Step 1: a task that was delivered twice sends one receipt."""

from __future__ import annotations

import os

from celery import Celery
from celery.schedules import crontab

from bookshop.tables import OrderPlaced, Receipt, Session, inbox
from insula.messages import decode, from_cloudevent

app = Celery("bookshop", broker=os.environ.get("BOOKSHOP_BROKER", "redis://localhost"))
app.conf.beat_schedule = {"forget what cannot come again": {"task": "prune", "schedule": crontab(hour=3, minute=0)}}
if folder := os.environ.get("BOOKSHOP_QUEUE"):  # a folder for a broker, as the tests have it
    app.conf.broker_transport_options = {
        "data_folder_in": folder, "data_folder_out": folder, "control_folder": f"{folder}/control"
    }  # fmt: skip


# fmt: off
@app.task(name="OrderPlaced", acks_late=True)          # the task of a message is named as its type
def send_receipt(event: str) -> None:
    message = from_cloudevent(event.encode())
    order = decode(message.data, OrderPlaced)
    with Session.begin() as session:
        if inbox.first_time(session, consumer="receipts", message_id=message.id):
            session.add(Receipt(order_number=order.number, customer=order.customer))

@app.task(name="prune")
def prune() -> None:
    with Session.begin() as session:
        inbox.prune(session)
# fmt: on
