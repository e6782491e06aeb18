"""POST /stock: book goods that came in."""

from sqlalchemy import insert, select, update

from insula import UnitOfWork
from shop.inventory.contract import InvalidReceipt, ReceiptDiffers, ReceiveStock
from shop.inventory.module import inventory, receipts, stock
from shop.kernel import is_identifier

LARGEST_RECEIPT = 10_000_000


@inventory.post("/stock", status=201)
@inventory.handle(ReceiveStock)
async def receive_stock(command: ReceiveStock, work: UnitOfWork) -> None:
    """Add the goods once, however often the receipt is sent."""
    check(command)
    receipt = {
        "receipt_id": command.receipt_id,
        "product_id": command.product_id,
        "quantity": command.quantity,
    }
    rows = await work.execute(select(receipts).where(receipts.c.receipt_id == command.receipt_id))
    booked = rows.mappings().first()
    if booked is not None:
        if dict(booked) != receipt:
            raise ReceiptDiffers(receipt_id=command.receipt_id)
        return
    await work.execute(insert(receipts), receipt)
    more = update(stock).where(stock.c.product_id == command.product_id).returning(stock.c.product_id)
    if await work.scalar(more.values(available=stock.c.available + command.quantity)) is None:
        first = {"product_id": command.product_id, "available": command.quantity, "reserved": 0, "shipped": 0}
        await work.execute(insert(stock), first)


def check(command: ReceiveStock) -> None:
    """Refuse a receipt that cannot be booked."""
    if not is_identifier(command.receipt_id):
        raise InvalidReceipt(reason="receipt_id: 1 to 64 printable characters are expected")
    if not is_identifier(command.product_id):
        raise InvalidReceipt(reason="product_id: 1 to 64 printable characters are expected")
    if not 0 <= command.quantity <= LARGEST_RECEIPT:
        raise InvalidReceipt(reason=f"quantity: 0 to {LARGEST_RECEIPT} is expected, not {command.quantity}")
