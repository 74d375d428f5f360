"""The search for stored documents that no model of this release can read, for an operator who mends or deletes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from appdb._driver import RawDocument
from appdb._queries.config import SETTINGS
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import UnreadableError
from appdb.models.access_keys import AccessKey
from appdb.models.actors import RegisteredActor
from appdb.models.answer_drafts import AnswerDraft
from appdb.models.answer_links import AnswerLink
from appdb.models.branches import Branch
from appdb.models.budgets import BudgetDocument
from appdb.models.config import StoredSetting
from appdb.models.content_generation_metadata import Generation
from appdb.models.events import RunEvent
from appdb.models.generated_content import Content
from appdb.models.option_usage import OptionUsage
from appdb.models.refresh_tokens import RefreshFamily
from appdb.models.schedules import Schedule
from appdb.models.snapshots import Snapshot
from appdb.models.task_events import TaskEvent
from appdb.models.tasks import Task
from appdb.models.users import User
from appdb.models.weighted_keywords import WeightedKeyword
from appdb.models.workers import Worker
from appdb.models.workflow_files import WorkflowFile
from appdb.models.workflow_run_versions import RunVersion
from appdb.models.workflow_runs import Run
from appdb.models.workflow_templates import WorkflowTemplate
from appdb.models.workflow_versions import WorkflowVersion
from appdb.users.model_usage import usage_of

READERS: Mapping[str, Callable[[RawDocument], object]] = {
    collections.TASKS: Task.from_document,
    collections.TASK_EVENTS: TaskEvent.from_document,
    collections.SCHEDULES: Schedule.from_document,
    collections.ACTORS: RegisteredActor.from_document,
    collections.WORKERS: Worker.from_document,
    collections.WORKFLOW_TEMPLATES: WorkflowTemplate.from_document,
    collections.WORKFLOW_VERSIONS: WorkflowVersion.from_document,
    collections.WORKFLOW_RUNS: Run.from_document,
    collections.RUN_VERSIONS: RunVersion.from_document,
    collections.EVENTS: RunEvent.from_document,
    collections.BRANCHES: Branch.from_document,
    collections.SNAPSHOTS: Snapshot.from_document,
    collections.FILES: WorkflowFile.from_document,
    collections.USAGE: usage_of,
    collections.BUDGETS: BudgetDocument.from_document,
    collections.ANSWER_LINKS: AnswerLink.from_document,
    collections.ANSWER_DRAFTS: AnswerDraft.from_document,
    collections.OPTION_USAGE: OptionUsage.from_document,
    collections.WEIGHTED_KEYWORDS: WeightedKeyword.from_document,
    collections.GENERATIONS: Generation.from_document,
    collections.CONTENTS: Content.from_document,
    collections.USERS: User.from_document,
    collections.ACCESS_KEYS: AccessKey.from_document,
    collections.REFRESH_TOKENS: RefreshFamily.from_document,
    collections.CONFIG: StoredSetting.from_document,
}
"""What reads the documents of each collection that is read by a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A document that cannot be read.

    Args:
        collection: Where it is.
        document_id: Its ``_id``, as Python shows it.
        problem: Which fields do not fit, and why.
    """

    collection: str
    document_id: str
    problem: str


async def unreadable(connection: Connection) -> AsyncIterator[Unreadable]:
    """Yield every document that cannot be read, collection by collection; it reads the whole database."""
    for name, read in READERS.items():
        # The other documents of `config` are no settings; migrations and sweeps read them.
        match = SETTINGS if name == collections.CONFIG else {}
        async for row in connection.collection(name).find(match):
            try:
                read(row)
            except UnreadableError as exc:
                yield Unreadable(collection=name, document_id=repr(row["_id"]), problem=exc.problem)
