"""Time for tests of a real database: the server's clock cannot be moved, so all stored times move back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from appdb import Database

NOT_OF_TASKS = ("migrations", "config", "system.")


async def let_time_pass(database: Database, by: timedelta) -> None:
    """Make every stored time of *database* earlier by so much, as if that much had passed; nobody may write meanwhile.

    What a process remembers by its own clock does not move.
    """
    for name in await database.raw.list_collection_names():
        if name.startswith(NOT_OF_TASKS):
            continue
        collection = database.collection(name)
        for document in await collection.find().to_list(None):
            moved = _moved(document, by)
            if moved != document:
                await collection.replace_one({"_id": document["_id"]}, moved)


def _moved(value: Any, by: timedelta) -> Any:
    if isinstance(value, datetime):
        return value - by
    if isinstance(value, dict):
        return {key: _moved(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, by) for each in value]
    return value
