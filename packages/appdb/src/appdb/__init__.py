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
from appdb.models.content import (
    Content,
    ContentKind,
    Generation,
    GenerationStatus,
    GenerationWithItems,
    NewContent,
    NewGeneration,
    Origin,
)
from appdb.models.file import (
    FileCategory,
    FileFormat,
    FileRole,
    FileWithContent,
    ModelCall,
    NewFile,
    WorkflowFile,
)
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
from appdb.models.token import NewUsage, Usage, UsageFilter, UsageTotals
from appdb.queue.lease import Claimer, Lease
from appdb.queue.schedules import ScheduleRepository
from appdb.queue.task_queue import TaskQueue
from appdb.queue.writes import AttemptWrite, Completed, Failed, Outcome, Released, Suspended
from appdb.repos.content import ContentRepository
from appdb.repos.file import FileRepository
from appdb.repos.registry import RegistryRepository
from appdb.repos.token import TokenRepository
from appdb.repos.user import UserRepository
from appdb.utils import uuid7_str

__all__ = [
    "AppDbError",
    "AttemptWrite",
    "CatchUp",
    "ChangeFeed",
    "Claimer",
    "Completed",
    "ConflictError",
    "Content",
    "ContentKind",
    "ContentRepository",
    "ContractMismatchError",
    "Database",
    "DatabaseRefusedError",
    "DatabaseUnavailableError",
    "DbEventType",
    "EmbeddedServerError",
    "Failed",
    "FileCategory",
    "FileFormat",
    "FileRepository",
    "FileRole",
    "FileWithContent",
    "Generation",
    "GenerationStatus",
    "GenerationWithItems",
    "InvalidDataError",
    "Lease",
    "LeaseLostError",
    "Limit",
    "MigrationError",
    "ModelCall",
    "NewContent",
    "NewEvent",
    "NewFile",
    "NewGeneration",
    "NewSchedule",
    "NewTask",
    "NewUsage",
    "NotFoundError",
    "Origin",
    "Outcome",
    "Progress",
    "QueueStats",
    "RegistryRepository",
    "Released",
    "Schedule",
    "ScheduleRepository",
    "Suspended",
    "Task",
    "TaskEvent",
    "TaskEventType",
    "TaskFilter",
    "TaskQueue",
    "TaskState",
    "TokenRepository",
    "TooLargeError",
    "UnfitServerError",
    "Usage",
    "UsageFilter",
    "UsageTotals",
    "UserRepository",
    "WorkflowFile",
    "__version__",
    "uuid7_str",
]
