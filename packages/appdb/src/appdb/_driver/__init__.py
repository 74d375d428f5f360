"""The one package that names a driver: connecting, sessions, streams and errors behind one seam.

Motor is the default; ``APPDB_DRIVER=pymongo`` in the environment takes PyMongo's own async client in its place.
"""

from __future__ import annotations

from appdb._driver._chosen import (
    DRIVER,
    ChangeStream,
    Client,
    Collection,
    RawDatabase,
    Session,
    close_client,
    start_session,
    start_transaction,
)
from appdb._driver._collections import has_ended, watch, with_local_reads
from appdb._driver._common import (
    AFTER,
    BulkWriteError,
    DuplicateKeyError,
    IndexModel,
    PyMongoError,
    RawDocument,
    UpdateMany,
    UpdateOne,
)
from appdb._driver._connect import check_name, connect, hosts_of, within
from appdb._driver._diagnosis import unfit, unfitness
from appdb._driver._errors import encoded_size, refused, translated, translates_errors, translates_stream_errors
from appdb._driver._primary import ServerNotReadyError, make_primary
from appdb._driver._retries import retried, retried_deletion, retry
from appdb._driver._transactions import end_idle_transactions, in_transaction, is_write_conflict, notes_of
from appdb._driver._values import READING, decimal_of, stored_decimal

__all__ = [
    "AFTER",
    "DRIVER",
    "READING",
    "BulkWriteError",
    "ChangeStream",
    "Client",
    "Collection",
    "DuplicateKeyError",
    "IndexModel",
    "PyMongoError",
    "RawDatabase",
    "RawDocument",
    "ServerNotReadyError",
    "Session",
    "UpdateMany",
    "UpdateOne",
    "check_name",
    "close_client",
    "connect",
    "decimal_of",
    "encoded_size",
    "end_idle_transactions",
    "has_ended",
    "hosts_of",
    "in_transaction",
    "is_write_conflict",
    "make_primary",
    "notes_of",
    "refused",
    "retried",
    "retried_deletion",
    "retry",
    "start_session",
    "start_transaction",
    "stored_decimal",
    "translated",
    "translates_errors",
    "translates_stream_errors",
    "unfit",
    "unfitness",
    "watch",
    "with_local_reads",
    "within",
]
