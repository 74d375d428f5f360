"""StateRepository: the states of runs, folded from their events."""

from __future__ import annotations

from appdb._driver import Session, retried
from appdb._queries import events as queries
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.errors import NotFoundError
from appdb.events import DbEventType as E
from appdb.models.branches import Branch
from appdb.models.events import EventFilter, NewRunEvent, RunEvent
from appdb.models.state import Interaction, ModuleAttempt, RunState
from appdb.run_lock import RunLock
from appdb.runs import interactions as history
from appdb.runs.fork import AtInteraction, BeforeFirst, Fork, Point, RunForker
from appdb.runs.lineage import counts, truncated
from appdb.runs.reader import RunReader
from appdb.utils import uuid7_str


class StateRepository(BaseRepository):
    """
    States of runs: position, outputs, pending interaction. They change only by events, or by going back before some.

    A read folds what came after the last snapshot; the first read of a long run folds all of it, and leaves snapshots.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._run_lock = RunLock(connection)
        self._reader = RunReader(connection)
        self._forker = RunForker(connection)
        self._events = self._collection(collections.EVENTS)

    @retried
    async def get(self, run_id: str, *, owner_id: str, session: Session | None = None) -> RunState:
        """Return the state of a run: position, outputs, what is pending.

        Raises:
            NotFoundError: The owner has no such run.
            ConflictError: An event is missing from its log.
        """
        return (await self._reader.current_state(run_id, owner_id, session))[1]

    @retried
    async def at(
        self,
        run_id: str,
        seq: int,
        *,
        owner_id: str,
        branch_id: str | None = None,
        session: Session | None = None,
    ) -> RunState:
        """Return the state that a run had after an event of a branch's line of history, the current one by default.

        Raises:
            NotFoundError: The owner has no such run or branch, or the line no such event.
        """
        run = await self._run_lock.find_run(run_id, owner_id, session)
        lineage = truncated(await self._reader.lineage_of(run, branch_id or run.branch_id, session), seq)
        match = queries.numbered(run_id, owner_id, seq)
        found = await self._events.find_one(match, {"branch_id": 1}, session=session)
        # A number names one event of the run, and that may be on another branch.
        if not lineage or found is None or found["branch_id"] != lineage[-1].branch_id:
            await self._run_lock.check_run(run_id, owner_id, session)
            raise NotFoundError(f"event of run {run_id}", str(seq))
        return await self._reader.state_after(run, lineage, session)

    @retried
    async def interactions(
        self,
        run_id: str,
        *,
        owner_id: str,
        before: int | None = None,
        limit: int = 50,
        session: Session | None = None,
    ) -> list[Interaction]:
        """Return the last *limit* requests that count, oldest first, each with its answer.

        Args:
            run_id: The run.
            owner_id: The run's owner.
            before: Only requests with a lower number: that of the first request of the page after this one.
            limit: The most interactions to return.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run.
        """
        wanted = EventFilter(types=[E.INTERACTION_REQUESTED], before=before)
        lineage, asked = await self._reader.counting_events(
            run_id, owner_id, wanted, limit=limit, newest=True, session=session
        )
        # Answers may be beyond the page of requests, so they are asked for by id, and those off the line left out.
        ids = {event.interaction_id for event in asked if event.interaction_id is not None}
        if not ids:
            return []
        match = queries.of_interactions(run_id, owner_id, ids, E.INTERACTION_RESPONSE)
        answers = [RunEvent.from_document(row) async for row in self._events.find(match, session=session)]
        await self._run_lock.check_run(run_id, owner_id, session)
        counting = [event for event in answers if counts(lineage, event)]
        return history.interactions(sorted([*asked, *counting], key=lambda event: event.seq))

    @retried
    async def module_output(
        self, run_id: str, module: str, *, owner_id: str, step: str | None = None, session: Session | None = None
    ) -> RunEvent | None:
        """Return the last completion of a module, or ``None`` when it has none or has to run again: as ``get`` says.

        Raises:
            NotFoundError: The owner has no such run.
            ConflictError: An event is missing from its log.
        """
        state = await self.get(run_id, owner_id=owner_id, session=session)
        kept = [output for (at, name), output in state.outputs.items() if name == module and step in (None, at)]
        if not kept:
            return None
        match = queries.by_ids(run_id, owner_id, [kept[-1].event_id])
        found = await self._events.find_one(match, session=session)
        await self._run_lock.check_run(run_id, owner_id, session)
        return None if found is None else RunEvent.from_document(found)

    @retried
    async def retry_context(
        self,
        run_id: str,
        module: str,
        *,
        owner_id: str,
        step: str | None = None,
        limit: int = 50,
        session: Session | None = None,
    ) -> list[ModuleAttempt]:
        """Return what a module gave each time and what the user then asked for, oldest first, of its last events.

        Args:
            run_id: The run.
            module: The module.
            owner_id: The run's owner.
            step: The step, where modules of many steps have one name.
            limit: How many of the module's completions and retries to look at.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run.
        """
        wanted = EventFilter(types=[E.MODULE_COMPLETED, E.RETRY_REQUESTED], module=module, step=step)
        _, found = await self._reader.counting_events(
            run_id, owner_id, wanted, limit=limit, newest=True, session=session
        )
        return history.module_attempts(reversed(found))

    async def jump(
        self,
        run_id: str,
        step: str,
        module: str | None = None,
        *,
        owner_id: str,
        branch_id: str,
        new_branch_id: str | None = None,
        session: Session | None = None,
    ) -> Branch:
        """Go back before the first event of a step, or of a module in it, on a new branch.

        Args:
            run_id: The run.
            step: Where to.
            module: Where to in the step.
            owner_id: The run's owner.
            branch_id: The branch that the caller takes for the current one.
            new_branch_id: The id of the new branch, which makes a repeated call harmless; made here when left out.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run, or it has not come that far.
            ConflictError: The run has moved on to another branch, it would be open beside another of its project, or
                *new_branch_id* is that of another fork.
        """
        data = {"target_step": step} | ({} if module is None else {"target_module": module})
        event = NewRunEvent(type=E.JUMP_REQUESTED, step=step, module=module, data=data)
        point = BeforeFirst(step=step, module=module)
        fork = _fork_of(run_id, owner_id, branch_id, new_branch_id, point, event)
        return await self._fork(fork, session=session)

    async def branch_from_interaction(
        self,
        run_id: str,
        interaction_id: str,
        *,
        owner_id: str,
        branch_id: str,
        new_branch_id: str | None = None,
        session: Session | None = None,
    ) -> Branch:
        """Go back behind a request on a new branch: the same form is pending again, and nothing before it runs again.

        Args:
            run_id: The run.
            interaction_id: The interaction, on whichever branch it was requested.
            owner_id: The run's owner.
            branch_id: The branch that the caller takes for the current one.
            new_branch_id: The id of the new branch, which makes a repeated call harmless; made here when left out.
            session: The caller's transaction.

        Raises:
            NotFoundError: The owner has no such run, or the run no such interaction.
            ConflictError: The run has moved on to another branch, it would be open beside another of its project, or
                *new_branch_id* is that of another fork.
        """
        event = NewRunEvent(type=E.WORKFLOW_RESUMED, data={"from_interaction_id": interaction_id})
        point = AtInteraction(interaction_id=interaction_id)
        fork = _fork_of(run_id, owner_id, branch_id, new_branch_id, point, event)
        return await self._fork(fork, session=session)

    @retried
    async def _fork(self, fork: Fork, *, session: Session | None) -> Branch:
        return await self._forker.fork_run(fork, session)


def _fork_of(run_id: str, owner_id: str, current: str, branch_id: str | None, point: Point, event: NewRunEvent) -> Fork:
    return Fork(
        run_id=run_id,
        owner_id=owner_id,
        current=current,
        branch_id=branch_id or uuid7_str("br_"),
        point=point,
        event=event,
    )
