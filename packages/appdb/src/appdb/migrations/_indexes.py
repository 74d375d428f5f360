"""The indexes of a database: compared with the declared ones, created, and mended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from appdb._driver import DuplicateKeyError, IndexModel
from appdb._schema.difference import IndexDifference, IndexProblem, differences, known_collections
from appdb._schema.index import Index
from appdb._schema.indexes import INDEXES
from appdb.connection import Connection
from appdb.errors import MigrationError


async def index_differences(connection: Connection) -> list[IndexDifference]:
    """Return which indexes of appdb's collections are missing, in another form than declared, or extra."""
    names = known_collections(INDEXES)
    return differences(INDEXES, {name: await connection.collection(name).index_information() for name in names})


async def create_indexes(connection: Connection, collection: str, indexes: Sequence[Index]) -> None:
    """Create *indexes* of one *collection* in one build, during which reads and writes go on.

    Raises:
        MigrationError: One is there in another form, or documents break a unique one.
    """
    found = await connection.collection(collection).index_information()
    for unlike in differences(indexes, {collection: found}):
        if unlike.problem in (IndexProblem.DIFFERENT, IndexProblem.MISNAMED):
            raise MigrationError(
                f"index {unlike.name} of {collection} is there in another form ({unlike.detail}); "
                "rebuild it by `appdb migrate indexes`, then run `appdb migrate` again"
            )
    models = [IndexModel(list(index.keys), name=index.name, **index.options) for index in indexes]
    try:
        # Also for those that the server already lists: it may be building them for a run that was killed, and waits.
        await connection.collection(collection).create_indexes(models)
    except DuplicateKeyError as exc:
        raise MigrationError(
            f"a unique index of {collection} cannot be made, since two documents are the same in it "
            f"({str(exc)[:300]}); change or remove one of them, then run `appdb migrate` again"
        ) from exc


async def mend_indexes(connection: Connection) -> list[IndexDifference]:
    """Create what is missing, build again what is different or misnamed, and return all; extra ones stay."""
    wrong = [index for index in await index_differences(connection) if index.problem is not IndexProblem.EXTRA]
    # The server refuses a second index with the same name or the same keys, so the one in the way goes first.
    for index in wrong:
        own = index.name if index.problem is IndexProblem.DIFFERENT else None
        for name in (own, index.in_the_way):
            if name is not None:
                await connection.collection(index.collection).drop_index(name)
    names = {(index.collection, index.name) for index in wrong}
    mended = [index for index in INDEXES if (index.collection, index.name) in names]
    for collection, indexes in by_collection(mended):
        await create_indexes(connection, collection, indexes)
    return wrong


def by_collection(indexes: Iterable[Index]) -> list[tuple[str, list[Index]]]:
    """Return *indexes* grouped by collection, in the order of collections."""
    ordered = sorted(indexes, key=lambda index: index.collection)
    return [(name, list(group)) for name, group in groupby(ordered, key=lambda index: index.collection)]
