"""Ways: the way back that a caller asks for, found in the run as it is."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from appdb import DbEventType, NotFoundError
from appdb.models import Branch
from appserver.engine.core.picture import Picture
from appserver.engine.core.ways_back import BranchFrom, Jump, Move, Reset, Retry, RetryFailed, Switch
from appserver.engine.definition.parsing import stored_definition
from appserver.engine.runner.going_back import FindWay
from appserver.engine.runner.stores import EngineStores

PAGE = 200


class Ways:
    """
    Finds ways back.

    Args:
        stores: Where runs are.
    """

    def __init__(self, stores: EngineStores) -> None:
        self._stores = stores

    def retry(
        self, module: str, feedback: Mapping[str, JsonValue], inputs: Mapping[str, JsonValue], *, failed_only: bool
    ) -> FindWay:
        """Return the way of a retry of a module, or of its failed parts."""

        async def find(_: Picture) -> Retry | RetryFailed:
            return RetryFailed(module=module) if failed_only else Retry(module=module, feedback=feedback, inputs=inputs)

        return find

    def jump(self, module: str, feedback: Mapping[str, JsonValue]) -> FindWay:
        """Return the way to a module, on a new branch."""

        async def find(_: Picture) -> Jump:
            return Jump(module=module, feedback=feedback)

        return find

    def branch_from(self, interaction_id: str) -> FindWay:
        """Return the way to a question, which is asked again on a new branch."""

        async def find(picture: Picture) -> BranchFrom:
            run = picture.run
            events = await self._stores.events.of_interaction(run.id, interaction_id, owner_id=run.owner_id)
            asked = [event for event in events if event.type is DbEventType.INTERACTION_REQUESTED]
            if not asked:
                raise NotFoundError(f"interaction of run {run.id}", interaction_id)
            last = asked[-1]
            state = await self._stores.states.at(run.id, last.seq, owner_id=run.owner_id, branch_id=last.branch_id)
            answers = [event for event in events if "response" in event.data]
            response = answers[-1].data["response"] if answers else None
            return BranchFrom(interaction_id=interaction_id, seq=last.seq, state=state, response=response)

        return find

    def switch(self, branch_id: str) -> FindWay:
        """Return the way to where another branch has ended."""

        async def find(picture: Picture) -> Switch:
            run = picture.run
            branch = await self._stores.branches.get(branch_id, owner_id=run.owner_id)
            if branch.run_id != run.id:
                raise NotFoundError(f"branch of run {run.id}", branch_id)
            seq = await self._end_of(branch, picture)
            state = await self._stores.states.at(run.id, seq, owner_id=run.owner_id, branch_id=branch_id)
            return Switch(branch_id=branch_id, seq=seq, state=state)

        return find

    def move(self, version_id: str) -> FindWay:
        """Return the way to another version of the workflow."""

        async def find(picture: Picture) -> Move:
            version = await self._stores.versions.get(version_id, owner_id=picture.run.owner_id)
            return Move(version_id=version.id, definition=stored_definition(version.definition))

        return find

    def reset(self, given: Mapping[str, JsonValue] | None) -> FindWay:
        """Return the way to a new beginning."""

        async def find(_: Picture) -> Reset:
            return Reset(input=given)

        return find

    async def _end_of(self, branch: Branch, picture: Picture) -> int:
        """Return the number of the last event of *branch*: the one before the next branch began."""
        begins, end, before = branch.lineage[-1].first_seq, picture.next_seq - 1, None
        while True:
            page = await self._stores.branches.page(
                picture.run.id, owner_id=picture.run.owner_id, before=before, limit=PAGE
            )
            later = [one.lineage[-1].first_seq - 1 for one in page if one.lineage[-1].first_seq > begins]
            end = min([end, *later])
            if len(page) < PAGE or any(one.id == branch.id for one in page):
                return end
            before = page[-1].id
