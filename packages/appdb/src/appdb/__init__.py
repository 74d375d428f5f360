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
    TokenReuseError,
    TooLargeError,
    UnfitServerError,
)
from appdb.events import DbEventType, TaskEventType
from appdb.feed import ChangeFeed
from appdb.models.limits import Limit
from appdb.models.schedule import CatchUp, NewSchedule, Schedule
from appdb.models.task import (
    NewEvent,
    NewTask,
    Progress,
    QueueStats,
    Task,
    TaskEvent,
    TaskFilter,
    TaskState,
)
from appdb.models.user import (
    Caller,
    Device,
    KeyInfo,
    Lifetime,
    Login,
    NewKey,
    NewToken,
    NewUser,
    Role,
    User,
    UserSession,
)
from appdb.queue.lease import Claimer, Lease
from appdb.queue.schedules import ScheduleRepository
from appdb.queue.task_queue import TaskQueue
from appdb.queue.writes import AttemptWrite, Completed, Failed, Outcome, Released, Suspended
from appdb.repos.content import ContentRepository
from appdb.repos.registry import RegistryRepository
from appdb.repos.user import UserRepository
from appdb.utils import uuid7_str

__all__ = [
    "AppDbError",
    "AttemptWrite",
    "Caller",
    "CatchUp",
    "ChangeFeed",
    "Claimer",
    "Completed",
    "ConflictError",
    "ContentRepository",
    "ContractMismatchError",
    "Database",
    "DatabaseRefusedError",
    "DatabaseUnavailableError",
    "DbEventType",
    "Device",
    "EmbeddedServerError",
    "Failed",
    "InvalidDataError",
    "KeyInfo",
    "Lease",
    "LeaseLostError",
    "Lifetime",
    "Limit",
    "Login",
    "MigrationError",
    "NewEvent",
    "NewKey",
    "NewSchedule",
    "NewTask",
    "NewToken",
    "NewUser",
    "NotFoundError",
    "Outcome",
    "Progress",
    "QueueStats",
    "RegistryRepository",
    "Released",
    "Role",
    "Schedule",
    "ScheduleRepository",
    "Suspended",
    "Task",
    "TaskEvent",
    "TaskEventType",
    "TaskFilter",
    "TaskQueue",
    "TaskState",
    "TokenReuseError",
    "TooLargeError",
    "UnfitServerError",
    "User",
    "UserRepository",
    "UserSession",
    "__version__",
    "uuid7_str",
]
