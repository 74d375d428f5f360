"""Give stored tasks their lanes, groups and limits, and the queue its indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appdb._driver import IndexModel
from appdb._queries import claims
from appdb._schema import collections
from appdb._schema.indexes import INDEXES

if TYPE_CHECKING:
    from appdb.database import Database

OUTGROWN = ("tasks_claim", "tasks_leases", "tasks_due")


async def up(database: Database) -> None:
    """Fill in what older releases did not write, then create new indexes and drop those that nothing reads now."""
    await database.collection(collections.TASKS).update_many(*claims.adopt())
    for index in INDEXES:
        model = IndexModel(list(index.keys), name=index.name, **index.options)
        await database.collection(index.collection).create_indexes([model])
    known = await database.collection(collections.TASKS).index_information()
    for name in OUTGROWN:
        if name in known:
            await database.collection(collections.TASKS).drop_index(name)
