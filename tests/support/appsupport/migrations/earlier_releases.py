"""Earlier releases: their documents and indexes, put back into a database, and their sources."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bson import json_util

from appdb import Database, TaskState

ROOT = Path(__file__).parents[4]
DATA = ROOT / "packages/appdb/tests/data"
CONTRACT_2 = "3dfec96"
"""The last commit whose contract was 2."""
SEEN = ("actors", "workers")
"""Collections that the server empties of what was not seen lately."""


def documents(version: str, collection: str) -> list[dict[str, Any]]:
    """Return what release *version* had stored in *collection*."""
    path = DATA / f"v{version}" / f"{collection}.json"
    return list(json_util.loads(path.read_text())) if path.exists() else []


def key_of(version: str) -> str:
    """Return the access key of the one user in the data of release *version*."""
    return str(json_util.loads((DATA / f"v{version}/key.json").read_text()))


def collections_of(version: str) -> list[str]:
    """Return the collections of release *version* that held documents."""
    return sorted(path.stem for path in (DATA / f"v{version}").glob("*.json") if path.stem not in {"indexes", "key"})


async def restore(database: Database, version: str, **extra: Any) -> None:
    """Leave *database* as release *version* did.

    Args:
        database: An empty database.
        version: Which release, such as ``0.2``.
        extra: Fields that every document gets besides.
    """
    now = await database.server_time()
    for name in collections_of(version):
        rows = [row | extra for row in documents(version, name)]
        if name in SEEN:
            rows = [row | {"seen_at": now} for row in rows]
        if name == "tasks":
            rows = [row | _still_scheduled(row, now) for row in rows]
        await database.collection(name).insert_many(rows)
    indexes = json_util.loads((DATA / f"v{version}/indexes.json").read_text())
    for collection, known in indexes.items():
        for name, options in known.items():
            if name != "_id_":
                given = {key: value for key, value in options.items() if key not in {"key", "v"}}
                keys = [(field, direction) for field, direction in options["key"]]
                await database.collection(collection).create_index(keys, name=name, **given)


def _still_scheduled(task: Mapping[str, Any], now: datetime) -> dict[str, datetime]:
    """Return the times of a task that was left scheduled for the next day, as if it had been left just now."""
    tomorrow = now + timedelta(days=1)
    return {"run_at": tomorrow, "queued_at": tomorrow} if task["state"] == TaskState.SCHEDULED else {}


async def all_indexes(database: Database) -> dict[str, Mapping[str, Any]]:
    """Return the indexes of each collection that has more than the one of ids."""
    names = await database.raw.list_collection_names()
    found: dict[str, Mapping[str, Any]] = {
        name: await database.collection(name).index_information() for name in sorted(names)
    }
    return {name: indexes for name, indexes in found.items() if len(indexes) > 1}


def sources_of(commit: str, folder: Path) -> Path:
    """Unpack appdb's sources at *commit* into *folder*, and return what to put on the path.

    Raises:
        LookupError: This checkout has no such commit.
    """
    command = ["git", "-C", str(ROOT), "archive", commit, "packages/appdb/src"]
    try:
        packed = subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as exc:
        raise LookupError(f"there is no commit {commit} in this checkout; fetch its whole history") from exc
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "packages/appdb/src"
