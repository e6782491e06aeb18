"""Step 4: the whole application as it is, served by a System."""

from __future__ import annotations

from bookshop.web import app
from insula import Module, System

# fmt: off
bookshop = Module("bookshop")
bookshop.mount("/", app)

shop = System("bookshop", bookshop)                    # insula run bookshop.mounted:shop
# fmt: on
