"""The shared data layer of durable, live-streamed generation on MongoDB."""

from __future__ import annotations

from appdb._version import __version__
from appdb.canonical import content_hash
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
    UnreadableError,
)
from appdb.events import DbEventType, TaskEventType
from appdb.feed import ChangeFeed
from appdb.models.access_keys import Caller, KeyInfo, NewKey
from appdb.models.branches import Branch, LineagePart
from appdb.models.config import Setting
from appdb.models.content_generation_metadata import (
    Generation,
    GenerationStatus,
    GenerationWithItems,
    NewGeneration,
    Origin,
)
from appdb.models.events import EventFilter, NewRunEvent, RunEvent
from appdb.models.generated_content import Content, ContentKind, NewContent
from appdb.models.limits import Limit
from appdb.models.option_usage import OptionUsage
from appdb.models.queues import QueueStats
from appdb.models.recovery import Disagreement, Recovery
from appdb.models.refresh_tokens import Device, Lifetime, NewToken, UserSession
from appdb.models.schedules import CatchUp, NewSchedule, Schedule
from appdb.models.state import Interaction, Kept, RunState, Try
from appdb.models.task_events import NewEvent, TaskEvent
from appdb.models.tasks import NewTask, Progress, Task, TaskFilter, TaskState
from appdb.models.tokens import NewUsage, Usage, UsageFilter, UsageTotals
from appdb.models.users import Login, NewUser, Role, User
from appdb.models.weighted_keywords import UsedKeyword, WeightedKeyword
from appdb.models.workflow_files import (
    FileCategory,
    FileFormat,
    FileRole,
    FileWithContent,
    ModelCall,
    NewFile,
    WorkflowFile,
)
from appdb.models.workflow_run_versions import RunVersion
from appdb.models.workflow_runs import NewRun, Position, Run, RunStatus
from appdb.models.workflow_templates import GLOBAL_OWNER, TemplateMerge, TemplateVisibility, WorkflowTemplate
from appdb.models.workflow_versions import (
    Deduplication,
    NewResolvedVersion,
    NewVersion,
    Requirement,
    SourceType,
    VersionKind,
    VersionMerge,
    VersionSummary,
    VersionTree,
    WorkflowVersion,
)
from appdb.queue.attempt_write import AttemptWrite, Completed, Failed, Outcome, Released, Suspended
from appdb.queue.lease import Claimer, Lease
from appdb.queue.task_queue import TaskQueue
from appdb.repos.branch import BranchRepository
from appdb.repos.content import ContentRepository
from appdb.repos.event import EventRepository
from appdb.repos.file import FileRepository
from appdb.repos.registry import RegistryRepository
from appdb.repos.schedule import ScheduleRepository
from appdb.repos.state import StateRepository
from appdb.repos.token import TokenRepository
from appdb.repos.user import UserRepository
from appdb.repos.version import VersionRepository
from appdb.repos.workflow import WorkflowRepository
from appdb.utils import uuid7_str

__all__ = [
    "GLOBAL_OWNER",
    "AppDbError",
    "AttemptWrite",
    "Branch",
    "BranchRepository",
    "Caller",
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
    "Deduplication",
    "Device",
    "Disagreement",
    "EmbeddedServerError",
    "EventFilter",
    "EventRepository",
    "Failed",
    "FileCategory",
    "FileFormat",
    "FileRepository",
    "FileRole",
    "FileWithContent",
    "Generation",
    "GenerationStatus",
    "GenerationWithItems",
    "Interaction",
    "InvalidDataError",
    "Kept",
    "KeyInfo",
    "Lease",
    "LeaseLostError",
    "Lifetime",
    "Limit",
    "LineagePart",
    "Login",
    "MigrationError",
    "ModelCall",
    "NewContent",
    "NewEvent",
    "NewFile",
    "NewGeneration",
    "NewKey",
    "NewResolvedVersion",
    "NewRun",
    "NewRunEvent",
    "NewSchedule",
    "NewTask",
    "NewToken",
    "NewUsage",
    "NewUser",
    "NewVersion",
    "NotFoundError",
    "OptionUsage",
    "Origin",
    "Outcome",
    "Position",
    "Progress",
    "QueueStats",
    "Recovery",
    "RegistryRepository",
    "Released",
    "Requirement",
    "Role",
    "Run",
    "RunEvent",
    "RunState",
    "RunStatus",
    "RunVersion",
    "Schedule",
    "ScheduleRepository",
    "Setting",
    "SourceType",
    "StateRepository",
    "Suspended",
    "Task",
    "TaskEvent",
    "TaskEventType",
    "TaskFilter",
    "TaskQueue",
    "TaskState",
    "TemplateMerge",
    "TemplateVisibility",
    "TokenRepository",
    "TokenReuseError",
    "TooLargeError",
    "Try",
    "UnfitServerError",
    "UnreadableError",
    "Usage",
    "UsageFilter",
    "UsageTotals",
    "UsedKeyword",
    "User",
    "UserRepository",
    "UserSession",
    "VersionKind",
    "VersionMerge",
    "VersionRepository",
    "VersionSummary",
    "VersionTree",
    "WeightedKeyword",
    "WorkflowFile",
    "WorkflowRepository",
    "WorkflowTemplate",
    "WorkflowVersion",
    "__version__",
    "content_hash",
    "uuid7_str",
]
