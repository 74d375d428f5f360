"""The shared data layer of durable, live-streamed generation on MongoDB."""

from __future__ import annotations

from appdb._version import __version__
from appdb.canonical import content_hash
from appdb.choices import pick_fresh
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
from appdb.models.config import Setting
from appdb.models.history import OptionUsage, UsedKeyword, WeightedKeyword
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
from appdb.models.version import (
    GLOBAL_OWNER,
    Deduplication,
    NewResolvedVersion,
    NewVersion,
    Requirement,
    SourceType,
    TemplateMerge,
    TemplateVisibility,
    VersionKind,
    VersionMerge,
    VersionSummary,
    VersionTree,
    WorkflowTemplate,
    WorkflowVersion,
)
from appdb.queue.lease import Claimer, Lease
from appdb.queue.schedules import ScheduleRepository
from appdb.queue.task_queue import TaskQueue
from appdb.queue.writes import AttemptWrite, Completed, Failed, Outcome, Released, Suspended
from appdb.repos.content import ContentRepository
from appdb.repos.registry import RegistryRepository
from appdb.repos.user import UserRepository
from appdb.repos.version import VersionRepository
from appdb.utils import uuid7_str

__all__ = [
    "GLOBAL_OWNER",
    "AppDbError",
    "AttemptWrite",
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
    "Deduplication",
    "EmbeddedServerError",
    "Failed",
    "InvalidDataError",
    "Lease",
    "LeaseLostError",
    "Limit",
    "MigrationError",
    "NewEvent",
    "NewResolvedVersion",
    "NewSchedule",
    "NewTask",
    "NewVersion",
    "NotFoundError",
    "OptionUsage",
    "Outcome",
    "Progress",
    "QueueStats",
    "RegistryRepository",
    "Released",
    "Requirement",
    "Schedule",
    "ScheduleRepository",
    "Setting",
    "SourceType",
    "Suspended",
    "Task",
    "TaskEvent",
    "TaskEventType",
    "TaskFilter",
    "TaskQueue",
    "TaskState",
    "TemplateMerge",
    "TemplateVisibility",
    "TooLargeError",
    "UnfitServerError",
    "UsedKeyword",
    "UserRepository",
    "VersionKind",
    "VersionMerge",
    "VersionRepository",
    "VersionSummary",
    "VersionTree",
    "WeightedKeyword",
    "WorkflowTemplate",
    "WorkflowVersion",
    "__version__",
    "content_hash",
    "pick_fresh",
    "uuid7_str",
]
