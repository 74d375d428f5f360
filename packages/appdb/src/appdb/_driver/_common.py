"""The names that both drivers share: PyMongo's documents, operations and concerns."""

from __future__ import annotations

from typing import Any, TypeAlias

from pymongo import IndexModel, ReturnDocument, UpdateMany, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern

RawDocument: TypeAlias = dict[str, Any]

AFTER = ReturnDocument.AFTER
MAJORITY = WriteConcern(w="majority", j=True)
# Majority with j=false waits for the periodic journal flush: a hundred times slower.
SNAPSHOT, LOCAL = ReadConcern("snapshot"), ReadConcern("local")

__all__ = [
    "AFTER",
    "LOCAL",
    "MAJORITY",
    "SNAPSHOT",
    "BulkWriteError",
    "DuplicateKeyError",
    "IndexModel",
    "PyMongoError",
    "RawDocument",
    "UpdateMany",
    "UpdateOne",
]
