"""Reading: all that a decision about a run is made from, in a bounded number of round trips."""

from __future__ import annotations

from appdb.models import RunView
from appserver.engine.core.children import definition_of
from appserver.engine.core.picture import Picture
from appserver.engine.definition.model import Definition
from appserver.engine.runner.definitions import StoredDefinitions
from appserver.engine.runner.ends import EndReader
from appserver.engine.runner.kept_states import KeptStates
from appserver.engine.runner.stores import EngineStores
from appserver.errors import NoWorkflowRunError
from appserver.modules.registry import ModuleRegistry


class PictureReader:
    """
    Makes pictures of runs.

    Args:
        stores: Where runs are.
        registry: The module types of this host.
    """

    def __init__(self, stores: EngineStores, registry: ModuleRegistry) -> None:
        self._stores = stores
        self._registry = registry
        self._definitions = StoredDefinitions(stores.versions)
        self._ends = EndReader(stores)
        self._states = KeptStates()

    async def picture(self, run_id: str, owner_id: str) -> Picture:
        """Return the picture of a run.

        One round trip, however long the run is, unless another host has written to it since this one looked last: then
        two. One more for a definition that this host has not used lately, and where the run waits for tasks or timers
        one for each 500 of them; for each open child run one, and one more where it has ended.

        Raises:
            NotFoundError: The owner has no such run.
        """
        return await self.picture_of(await self.view(run_id, owner_id), owner_id)

    async def picture_of(self, view: RunView, owner_id: str, *, over_budget: str = "") -> Picture:
        """Return the picture of a run that is read already; see ``picture`` for what else is read."""
        version_id, definition = await self.definition(view)
        return Picture(
            run=view.run,
            state=view.state,
            definition=definition,
            version_id=version_id,
            now=await self._stores.database.clock.now(),
            next_seq=view.run.event_count,
            registry=self._registry,
            ends=await self._ends.ends_of(view.state, owner_id),
            over_budget=over_budget,
        )

    async def view(self, run_id: str, owner_id: str) -> RunView:
        """Return a run with its state.

        Raises:
            NotFoundError: The owner has no such run.
        """
        if run_id in self._states:
            run = await self._stores.runs.get(run_id, owner_id=owner_id)
            if (state := self._states.find(run)) is not None:
                return RunView(run=run, state=state)
        view = await self._stores.states.read(run_id, owner_id=owner_id)
        self._states.keep_read(view)
        return view

    async def presumed(self, run_id: str, owner_id: str) -> Picture | None:
        """Return the picture of a run as this host has left it, without asking whether it is still there.

        Only what is appended behind it finds that out, so nothing else may be told from it. ``None`` where this host
        knows too little of the run.
        """
        view = self._states.presumed(run_id, owner_id)
        return None if view is None else await self.picture_of(view, owner_id)

    def keep(self, view: RunView) -> None:
        """Keep what this host has written, so that its next look at the run reads the run alone."""
        self._states.keep_written(view)

    def forget(self, run_id: str) -> None:
        """Forget a run that this host has written to without knowing what it is then."""
        self._states.forget(run_id)

    async def of_version(self, version_id: str, owner_id: str) -> Definition:
        """Return the definition of a version that the owner may use.

        Raises:
            NotFoundError: The owner sees no such version.
        """
        return await self._definitions.get(version_id, owner_id=owner_id)

    async def definition(self, view: RunView) -> tuple[str, Definition]:
        """Return the version that a run follows, and what the run does of it.

        Raises:
            NoWorkflowRunError: The run follows none: it was not made by the engine.
        """
        version_id = view.run.version_id
        if version_id is None:
            raise NoWorkflowRunError(view.run.id)
        whole = await self.of_version(version_id, view.run.owner_id)
        return version_id, definition_of(whole, {} if view.state.created is None else view.state.created.data)
