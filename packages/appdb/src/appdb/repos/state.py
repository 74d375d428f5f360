"""StateRepository: the states of runs, folded from their events."""

from __future__ import annotations

from appdb._driver import Session, retried
from appdb._queries.run_reads import LineEnd
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.events import DbEventType as E
from appdb.models.branches import Branch
from appdb.models.events import RunEvent
from appdb.models.run_state import Interaction, ModuleAttempt, RunState, RunView
from appdb.runs.fork import RunForker
from appdb.runs.fork_points import AtInteraction, BeforeFirst, ForkRequest, fork_of
from appdb.runs.history import RunHistory
from appdb.runs.reader import RunReader


class StateRepository(BaseRepository):
    """
    States of runs: position, outputs, pending interaction. They change only by events, or by going back before some.

    A read folds what came after the last snapshot; the first read of a long run folds all of it, and leaves snapshots.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._reader = RunReader(connection)
        self._history = RunHistory(connection, self._reader)
        self._forker = RunForker(connection)

    @retried
    async def read(self, run_id: str, *, owner_id: str, session: Session | None = None) -> RunView:
        """Return a run and its state: what an append goes on from, with its branch and the number of the next event.

        Raises:
            NotFoundError: The owner has no such run.
            ConflictError: An event is missing from its log.
        """
        run, state = await self._reader.current_state(run_id, owner_id, session)
        return RunView(run=run, state=state)

    @retried
    async def get(self, run_id: str, *, owner_id: str, session: Session | None = None) -> RunState:
        """Return the state of a run: position, outputs, what is pending.

        Raises:
            NotFoundError: The owner has no such run.
            ConflictError: An event is missing from its log.
        """
        return (await self.read(run_id, owner_id=owner_id, session=session)).state

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
        return (await self.read_at(run_id, seq, owner_id=owner_id, branch_id=branch_id, session=session)).state

    @retried
    async def read_at(
        self,
        run_id: str,
        seq: int,
        *,
        owner_id: str,
        branch_id: str | None = None,
        session: Session | None = None,
    ) -> RunView:
        """Return what ``at`` returns, and from the same read the run as it is now.

        Raises:
            NotFoundError: The owner has no such run or branch, or the line no such event.
        """
        end = LineEnd(run_id=run_id, owner_id=owner_id, branch_id=branch_id, seq=seq)
        run, state = await self._reader.state_at(end, seq, session)
        return RunView(run=run, state=state)

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
        return await self._history.last_interactions(run_id, owner_id, before, limit, session)

    @retried
    async def module_output(
        self, run_id: str, module: str, *, owner_id: str, step: str | None = None, session: Session | None = None
    ) -> RunEvent | None:
        """Return the last completion of a module, or ``None`` when it has none or has to run again: as ``get`` says.

        Raises:
            NotFoundError: The owner has no such run.
            ConflictError: An event is missing from its log.
        """
        return await self._history.last_completion(run_id, owner_id, module, step, session)

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
        return await self._history.attempts_of_module((run_id, owner_id), module, step, limit, session)

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
        point = BeforeFirst(step=step, module=module)
        fork = fork_of((run_id, owner_id), (branch_id, new_branch_id), point, E.JUMP_REQUESTED, data)
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
        data = {"from_interaction_id": interaction_id}
        point = AtInteraction(interaction_id=interaction_id)
        fork = fork_of((run_id, owner_id), (branch_id, new_branch_id), point, E.WORKFLOW_RESUMED, data)
        return await self._fork(fork, session=session)

    @retried
    async def _fork(self, fork: ForkRequest, *, session: Session | None) -> Branch:
        return await self._forker.fork_run(fork, session)
