"""Migrations that rebuild a table, and what a migration must not do."""

from pathlib import Path

import pytest

from insula.adapters.sqlite.database import SqliteDatabase
from insula.kernel.clock import SystemClock
from insula.store.migration import MigrationFailed

TABLES = """
create table orders (id integer primary key, note text);
create table line (id integer primary key, order_id integer not null references orders (id) on delete cascade);
insert into orders values (1, 'a'), (2, 'b');
insert into line values (1, 1), (2, 1), (3, 2);
"""
REBUILD = """
create table orders_new (id integer primary key, note text not null);
insert into orders_new select id, note from orders{where};
drop table orders;
alter table orders_new rename to orders;
"""


async def counts_after(folder: Path, second: str) -> tuple[int, int]:
    """How many orders and lines there are after a second migration."""
    migrations = folder / "migrations"
    migrations.mkdir()
    (migrations / "0001_tables.sql").write_text(TABLES)
    (migrations / "0002_second.sql").write_text(second)
    database = SqliteDatabase(folder / "m.db", "m", SystemClock())
    database.prepare(None, migrations)
    try:
        (row,) = await database.read("select (select count(*) from orders), (select count(*) from line)")
        return row[0], row[1]
    finally:
        await database.close()


async def test_rebuilding_a_table_keeps_the_rows_that_refer_to_it(tmp_path: Path) -> None:
    assert await counts_after(tmp_path, REBUILD.format(where="")) == (2, 3)


async def test_a_rebuild_that_leaves_rows_without_their_parent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MigrationFailed, match=r"0002_second\.sql: 1 rows would refer .*line → orders"):
        await counts_after(tmp_path, REBUILD.format(where=" where id = 1"))


@pytest.mark.parametrize("statement", ["commit;", "pragma foreign_keys=off;", "delete from insula_log;"])
async def test_a_migration_cannot_leave_its_transaction_or_touch_the_log(tmp_path: Path, statement: str) -> None:
    with pytest.raises(MigrationFailed, match=r"remove the statement|remove it|belongs to Insula"):
        await counts_after(tmp_path, f"delete from line;\n{statement}")
