"""Stores: the repositories that the engine reads and writes."""

from __future__ import annotations

from dataclasses import dataclass

from appdb import (
    AnswerRepository,
    BranchRepository,
    BudgetRepository,
    ContentRepository,
    Database,
    EventRepository,
    FileRepository,
    RunListRepository,
    StateRepository,
    TaskQueue,
    TokenRepository,
    VersionRepository,
    WorkflowRepository,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStores:
    """The repositories of the engine, over one database."""

    database: Database
    runs: WorkflowRepository
    lists: RunListRepository
    states: StateRepository
    events: EventRepository
    branches: BranchRepository
    versions: VersionRepository
    files: FileRepository
    contents: ContentRepository
    usage: TokenRepository
    answers: AnswerRepository
    budgets: BudgetRepository
    queue: TaskQueue

    @classmethod
    def of(cls, database: Database, queue: TaskQueue) -> EngineStores:
        """Return the stores over an open *database*."""
        return cls(
            database=database,
            runs=WorkflowRepository(database),
            lists=RunListRepository(database),
            states=StateRepository(database),
            events=EventRepository(database),
            branches=BranchRepository(database),
            versions=VersionRepository(database),
            files=FileRepository(database),
            contents=ContentRepository(database),
            usage=TokenRepository(database),
            answers=AnswerRepository(database),
            budgets=BudgetRepository(database),
            queue=queue,
        )
