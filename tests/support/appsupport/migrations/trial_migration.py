"""A migration after the newest one, for tests: it fills documents in by batches, and can be undone."""

from __future__ import annotations

from typing import Any

from appdb import Database
from appdb._schema.index import Index
from appdb.connection import Connection
from appdb.migrations._migrator import Migrator
from appdb.migrations._module import Migration, known_migrations
from appdb.migrations._steps import Steps
from appdb.migrations.contract import CONTRACT_VERSION, Contract
from appdb.migrations.options import RunOptions

COLLECTION = "notes"
INDEX = Index(collection=COLLECTION, name="notes_label", keys=(("label", 1),))
LACKING: dict[str, Any] = {"label": {"$exists": False}}
FILL: list[dict[str, Any]] = [
    {"$set": {"label": {"$concat": ["label of ", "$_id"]}, "filled": {"$add": [{"$ifNull": ["$filled", 0]}, 1]}}}
]
HAVING: dict[str, Any] = {"label": {"$exists": True}}
EMPTY: list[dict[str, Any]] = [{"$unset": ["label", "filled"]}]


async def up(_: Connection, steps: Steps) -> None:
    """Give each note a label, and count how often."""
    await steps.back_fill("labels", COLLECTION, LACKING, FILL)
    await steps.add_indexes("indexes", [INDEX])


async def down(_: Connection, steps: Steps) -> None:
    """Take the labels away."""
    await steps.drop_indexes("indexes", [(COLLECTION, INDEX.name)])
    await steps.back_fill("labels", COLLECTION, HAVING, EMPTY)


TRIAL = Migration(
    id="m9000_pre_trial",
    description="Label the notes.",
    checksum="trial",
    contract=Contract(newest=CONTRACT_VERSION + 1, oldest=2),
    up=up,
    down=down,
    plan=up,
)

BEFORE = len(known_migrations())
"""The number of the migration before the trial."""


def migrator(database: Database, options: RunOptions | None = None) -> Migrator:
    """Return what runs all migrations and the trial."""
    return Migrator(database, [*known_migrations(), TRIAL], options or RunOptions())


async def write_notes(database: Database, count: int) -> None:
    """Write *count* notes without labels."""
    await database.collection(COLLECTION).insert_many([{"_id": f"note_{number:06}"} for number in range(count)])
