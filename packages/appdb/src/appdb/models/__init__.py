"""The documents and values that hosts share through the database: the contract, in one place."""

from __future__ import annotations

from appdb.models.access_keys import Caller, KeyInfo, NewKey
from appdb.models.actors import AnnouncedActor, RegisteredActor
from appdb.models.answer_drafts import AnswerDraft
from appdb.models.answer_links import AnswerLink
from appdb.models.bounds import MAX_DURATION
from appdb.models.branches import Branch, BranchSegment
from appdb.models.budgets import Budget, BudgetKind, BudgetScope
from appdb.models.config import Setting
from appdb.models.content_generation_metadata import (
    Generation,
    GenerationStatus,
    GenerationWithItems,
    NewGeneration,
    Origin,
)
from appdb.models.events import EventFilter, EventSummary, NewRunEvent, RunEvent
from appdb.models.generated_content import Content, ContentKind, NewContent
from appdb.models.limits import Limit, TaskLimit
from appdb.models.ongoing import ModuleWork, SubAction, TakenSignal, Wait, WaitKind
from appdb.models.option_usage import OptionUsage
from appdb.models.queues import QueueStats
from appdb.models.recovery import Disagreement, Recovery
from appdb.models.refresh_tokens import Device, Lifetime, NewToken, RevokedBecause, UserSession
from appdb.models.run_lists import OpenQuestion, RunFilter
from appdb.models.run_state import (
    RESERVED,
    STATE_VALUES,
    TAKES,
    WAITING_ON,
    Interaction,
    ModuleAttempt,
    RunState,
    RunView,
)
from appdb.models.schedules import CatchUp, NewSchedule, Schedule
from appdb.models.task_events import NewEvent, TaskEvent
from appdb.models.task_filters import CancelledTasks, TaskFilter
from appdb.models.tasks import (
    FINAL_STATES,
    LIVE_STATES,
    NewTask,
    Progress,
    Task,
    TaskError,
    TaskLease,
    TaskState,
)
from appdb.models.tokens import (
    CallUsage,
    ModelTotal,
    NewUsage,
    ProviderTotal,
    StepTotal,
    Usage,
    UsageFilter,
    UsageTotals,
)
from appdb.models.users import Login, NewUser, Role, User
from appdb.models.vocabulary import is_known
from appdb.models.weighted_keywords import UsedKeyword, WeightedKeyword
from appdb.models.workers import AnnouncedWorker, Worker
from appdb.models.workflow_files import (
    FileCategory,
    FileFormat,
    FileRole,
    FileWithContent,
    ModelCall,
    NewFile,
    TaskFile,
    WorkflowFile,
)
from appdb.models.workflow_run_versions import RunVersion
from appdb.models.workflow_runs import CLOSED_STATUSES, OPEN_STATUSES, NewRun, PendingQuestion, Position, Run, RunStatus
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

__all__ = [
    "CLOSED_STATUSES",
    "FINAL_STATES",
    "GLOBAL_OWNER",
    "LIVE_STATES",
    "MAX_DURATION",
    "OPEN_STATUSES",
    "RESERVED",
    "STATE_VALUES",
    "TAKES",
    "WAITING_ON",
    "AnnouncedActor",
    "AnnouncedWorker",
    "AnswerDraft",
    "AnswerLink",
    "Branch",
    "BranchSegment",
    "Budget",
    "BudgetKind",
    "BudgetScope",
    "CallUsage",
    "Caller",
    "CancelledTasks",
    "CatchUp",
    "Content",
    "ContentKind",
    "Deduplication",
    "Device",
    "Disagreement",
    "EventFilter",
    "EventSummary",
    "FileCategory",
    "FileFormat",
    "FileRole",
    "FileWithContent",
    "Generation",
    "GenerationStatus",
    "GenerationWithItems",
    "Interaction",
    "KeyInfo",
    "Lifetime",
    "Limit",
    "Login",
    "ModelCall",
    "ModelTotal",
    "ModuleAttempt",
    "ModuleWork",
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
    "OpenQuestion",
    "OptionUsage",
    "Origin",
    "PendingQuestion",
    "Position",
    "Progress",
    "ProviderTotal",
    "QueueStats",
    "Recovery",
    "RegisteredActor",
    "Requirement",
    "RevokedBecause",
    "Role",
    "Run",
    "RunEvent",
    "RunFilter",
    "RunState",
    "RunStatus",
    "RunVersion",
    "RunView",
    "Schedule",
    "Setting",
    "SourceType",
    "StepTotal",
    "SubAction",
    "TakenSignal",
    "Task",
    "TaskError",
    "TaskEvent",
    "TaskFile",
    "TaskFilter",
    "TaskLease",
    "TaskLimit",
    "TaskState",
    "TemplateMerge",
    "TemplateVisibility",
    "Usage",
    "UsageFilter",
    "UsageTotals",
    "UsedKeyword",
    "User",
    "UserSession",
    "VersionKind",
    "VersionMerge",
    "VersionSummary",
    "VersionTree",
    "Wait",
    "WaitKind",
    "WeightedKeyword",
    "Worker",
    "WorkflowFile",
    "WorkflowTemplate",
    "WorkflowVersion",
    "is_known",
]
