"""TokenRepository: usage and cost of calls to models."""

from __future__ import annotations

from appdb._driver import Session, retried
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.models.tasks import Task
from appdb.models.tokens import EVERYTHING, CallUsage, NewUsage, Usage, UsageFilter, UsageTotals
from appdb.queue.lease import Lease
from appdb.users.model_usage import ModelUsage
from appdb.users.task_usage import TaskUsage


class TokenRepository(BaseRepository):
    """Usage and cost of users' calls to models: every call once, sums exact. It outlives the runs that it was for."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._usage = ModelUsage(connection)
        self._task_usage = TaskUsage(connection)

    @retried
    async def record(self, usage: NewUsage, *, owner_id: str, session: Session | None = None) -> Usage:
        """Record a call; repeating it with the same id changes nothing and returns what was recorded first.

        Args:
            usage: What the call used.
            owner_id: Who pays.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run, or it is being deleted; record the call without a run, so that
                it still counts.
            InvalidDataError: A number is negative, too large, too fine or none, or a text cannot be stored; nothing was
                written.
            ConflictError: The id is somebody else's, or that of a call with other data.
        """
        return await self._usage.record_call(usage, owner_id, session)

    @retried
    async def record_for_task(self, lease: Lease, task: Task, key: str, usage: CallUsage) -> str:
        """Record a call that *task* made, for its owner and what its labels say; one transaction behind the fence.

        Args:
            lease: The lease that the fence checks.
            task: The claimed task.
            key: The call's name, unique within the task: what an earlier attempt recorded under it is replaced.
            usage: What the call used.

        Returns:
            The id of what was recorded, the same for the same task and key.

        Raises:
            LeaseLostError: Another worker may hold the task; nothing was written.
            InvalidDataError: A number is negative, too large, too fine or none, or a text cannot be stored; nothing was
                written.
        """
        return await self._task_usage.record_call(lease, task, key, usage)

    @retried
    async def page(
        self, *, owner_id: str, wanted: UsageFilter = EVERYTHING, before: str | None = None, limit: int = 50
    ) -> list[Usage]:
        """Return an owner's calls, newest first.

        Args:
            owner_id: Whose calls.
            wanted: Only these of them.
            before: The id of the last call of the page before.
            limit: The most calls to return.

        Raises:
            NotFoundError: The owner has no call *before*.
        """
        return await self._usage.page_of_calls(owner_id, wanted, before, limit)

    @retried
    async def totals(self, *, owner_id: str, wanted: UsageFilter = EVERYTHING) -> UsageTotals:
        """Return what an owner's calls used and cost: all together, by provider, by model and by step.

        One aggregation over one range of an index. Its answer grows with the number of models and steps, not of calls.

        Args:
            owner_id: Whose calls.
            wanted: Only these of them.
        """
        return await self._usage.sum_up(owner_id, wanted)
