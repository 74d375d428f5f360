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
from appdb.models.branch import Branch, LineagePart
from appdb.models.event import EventFilter, NewRunEvent, RunEvent
from appdb.models.limits import Limit
from appdb.models.recovery import Disagreement, Recovery
from appdb.models.run import NewRun, Position, Run, RunStatus, RunVersion
from appdb.models.schedule import CatchUp, NewSchedule, Schedule
from appdb.models.state import Interaction, Kept, RunState, Try
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
from appdb.queue.lease import Claimer, Lease
from appdb.queue.schedules import ScheduleRepository
from appdb.queue.task_queue import TaskQueue
from appdb.queue.writes import AttemptWrite, Completed, Failed, Outcome, Released, Suspended
from appdb.repos.branch import BranchRepository
from appdb.repos.content import ContentRepository
from appdb.repos.event import EventRepository
from appdb.repos.registry import RegistryRepository
from appdb.repos.state import StateRepository
from appdb.repos.user import UserRepository
from appdb.repos.workflow import WorkflowRepository
from appdb.utils import uuid7_str

__all__ = [
    "AppDbError",
    "AttemptWrite",
    "Branch",
    "BranchRepository",
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
    "Disagreement",
    "EmbeddedServerError",
    "EventFilter",
    "EventRepository",
    "Failed",
    "Interaction",
    "InvalidDataError",
    "Kept",
    "Lease",
    "LeaseLostError",
    "Limit",
    "LineagePart",
    "MigrationError",
    "NewEvent",
    "NewRun",
    "NewRunEvent",
    "NewSchedule",
    "NewTask",
    "NotFoundError",
    "Outcome",
    "Position",
    "Progress",
    "QueueStats",
    "Recovery",
    "RegistryRepository",
    "Released",
    "Run",
    "RunEvent",
    "RunState",
    "RunStatus",
    "RunVersion",
    "Schedule",
    "ScheduleRepository",
    "StateRepository",
    "Suspended",
    "Task",
    "TaskEvent",
    "TaskEventType",
    "TaskFilter",
    "TaskQueue",
    "TaskState",
    "TooLargeError",
    "Try",
    "UnfitServerError",
    "UserRepository",
    "WorkflowRepository",
    "__version__",
    "uuid7_str",
]
