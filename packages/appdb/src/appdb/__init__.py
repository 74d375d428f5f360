"""The shared data layer of durable, live-streamed generation on MongoDB.

Public are the names here, and the subpackages ``appdb.models``, ``appdb.feed``, ``appdb.host``, ``appdb.embedded`` and
``appdb.testing``; all else may change without notice.
"""

from __future__ import annotations

from appdb._version import __version__
from appdb.canonical import content_hash
from appdb.database import Database
from appdb.errors import (
    AppDbError,
    BudgetExceededError,
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
from appdb.models.limits import Limit
from appdb.models.task_events import NewEvent, TaskEvent
from appdb.models.tasks import NewTask, Progress, Task, TaskState
from appdb.queue.attempt_write import AttemptOutcome, AttemptWrite, Completed, Failed, Released, Suspended
from appdb.queue.lease import Claimer, Lease
from appdb.queue.protocol import TaskQueueProtocol
from appdb.queue.task_queue import TaskQueue
from appdb.repos.answer import AnswerRepository
from appdb.repos.branch import BranchRepository
from appdb.repos.budget import BudgetRepository
from appdb.repos.content import ContentRepository
from appdb.repos.event import EventRepository
from appdb.repos.file import FileRepository
from appdb.repos.registry import RegistryRepository
from appdb.repos.run_list import RunListRepository
from appdb.repos.schedule import ScheduleRepository
from appdb.repos.state import StateRepository
from appdb.repos.token import TokenRepository
from appdb.repos.user import UserRepository
from appdb.repos.version import VersionRepository
from appdb.repos.workflow import WorkflowRepository
from appdb.runs.check_events import check_events
from appdb.runs.fold import fold_events
from appdb.utils import derived_id, uuid7_str

__all__ = [
    "AnswerRepository",
    "AppDbError",
    "AttemptOutcome",
    "AttemptWrite",
    "BranchRepository",
    "BudgetExceededError",
    "BudgetRepository",
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
    "EmbeddedServerError",
    "EventRepository",
    "Failed",
    "FileRepository",
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
    "Released",
    "RunListRepository",
    "ScheduleRepository",
    "StateRepository",
    "Suspended",
    "Task",
    "TaskEvent",
    "TaskEventType",
    "TaskQueue",
    "TaskQueueProtocol",
    "TaskState",
    "TokenRepository",
    "TokenReuseError",
    "TooLargeError",
    "UnfitServerError",
    "UnreadableError",
    "UserRepository",
    "VersionRepository",
    "WorkflowRepository",
    "__version__",
    "check_events",
    "content_hash",
    "derived_id",
    "fold_events",
    "uuid7_str",
]
