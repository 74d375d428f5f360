"""Create the collections and the indexes of the first release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appdb._driver import IndexModel
from appdb._schema.indexes import INDEXES

if TYPE_CHECKING:
    from appdb.database import Database


async def up(database: Database) -> None:
    """Create every index that is declared; one that is there already is left alone."""
    for index in INDEXES:
        model = IndexModel(list(index.keys), name=index.name, **index.options)
        await database.collection(index.collection).create_indexes([model])
