"""The shared data layer of durable, live-streamed generation on MongoDB."""

from __future__ import annotations

from appdb._version import __version__
from appdb.database import Database
from appdb.errors import (
    AppDbError,
    ConflictError,
    ContractMismatchError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    EmbeddedServerError,
    InvalidDataError,
    LeaseLostError,
    MigrationError,
    NotFoundError,
    TooLargeError,
    UnfitServerError,
)
from appdb.events import DbEventType, TaskEventType
from appdb.feed import ChangeFeed
from appdb.models.limits import Limit
from appdb.models.task import NewEvent, NewTask, Progress, Task, TaskEvent, TaskState
from appdb.queue.lease import Claimer, Lease
from appdb.queue.task_queue import TaskQueue
from appdb.repos.content import ContentRepository
from appdb.repos.registry import RegistryRepository
from appdb.repos.user import UserRepository
from appdb.utils import uuid7_str

__all__ = [
    "AppDbError",
    "ChangeFeed",
    "Claimer",
    "ConflictError",
    "ContentRepository",
    "ContractMismatchError",
    "Database",
    "DatabaseRefusedError",
    "DatabaseUnavailableError",
    "DbEventType",
    "EmbeddedServerError",
    "InvalidDataError",
    "Lease",
    "LeaseLostError",
    "Limit",
    "MigrationError",
    "NewEvent",
    "NewTask",
    "NotFoundError",
    "Progress",
    "RegistryRepository",
    "Task",
    "TaskEvent",
    "TaskEventType",
    "TaskQueue",
    "TaskState",
    "TooLargeError",
    "UnfitServerError",
    "UserRepository",
    "__version__",
    "uuid7_str",
]
