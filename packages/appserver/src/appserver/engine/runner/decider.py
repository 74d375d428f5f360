"""Deciding with stored data: the core is asked again until it has all that it asks for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from appdb import NotFoundError
from appserver.engine.core.advance import advance
from appserver.engine.core.causes import Cause
from appserver.engine.core.decision import Decision
from appserver.engine.core.picture import Picture
from appserver.engine.runner.loading import Loader
from appserver.engine.runner.stores import EngineStores

MOST_LOADS = 50
"""Times that one decision may ask for stored data."""
THREAD_SECONDS = 15
"""How long a decision that is made in a thread may take; within the limit of an engine's task."""
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision, and the picture that it was made from with all that was loaded for it."""

    picture: Picture
    decision: Decision


class Decider:
    """
    Makes decisions about runs, and reads what they need.

    Args:
        stores: Where runs are.
    """

    def __init__(self, stores: EngineStores) -> None:
        self._stores = stores
        self._loader = Loader(stores)

    async def decide(self, picture: Picture, cause: Cause, allow: frozenset[str] = NONE) -> Decided:
        """Return what follows from *cause*; no round trip, unless a module asks for stored data.

        Args:
            picture: The run.
            cause: Why it is looked at.
            allow: Module types that are run although requests may not; decided in a thread.

        Raises:
            RunConflictError: The cause is a person's, and the run is not where that person takes it to be.
            InvalidAnswerError: The answer does not fit.
        """
        for _ in range(MOST_LOADS):
            decision = await _decision(picture, cause, allow)
            if not decision.needs:
                unknown = await self._unknown_versions(picture, decision)
                if not unknown:
                    return Decided(picture=picture, decision=decision)
                picture = replace(picture, unknown_versions=picture.unknown_versions | unknown)
                continue
            loaded = await self._loader.load(decision.needs, picture.run)
            picture = replace(picture, loaded={**picture.loaded, **loaded})
        raise RuntimeError(f"run {picture.run.id}: its modules ask for stored data without an end")

    async def decide_unread(self, picture: Picture, cause: Cause, allow: frozenset[str] = NONE) -> Decided | None:
        """Return what follows from *cause* without a round trip; ``None`` where something must be read for it.

        Args, and what is raised, are those of ``decide``.
        """
        decision = await _decision(picture, cause, allow)
        if decision.needs or _named_versions(picture, decision):
            return None
        return Decided(picture=picture, decision=decision)

    async def _unknown_versions(self, picture: Picture, decision: Decision) -> frozenset[str]:
        """Return the versions that child runs of *decision* should follow, and that the owner has not."""
        unknown: set[str] = set()
        for version_id in _named_versions(picture, decision):
            try:
                await self._stores.versions.get(version_id, owner_id=picture.run.owner_id)
            except NotFoundError:
                unknown.add(version_id)
        return frozenset(unknown)


def _named_versions(picture: Picture, decision: Decision) -> list[str]:
    """Return the versions other than the run's own that child runs of *decision* should follow."""
    named = {child.version_id for child in decision.children} - {picture.version_id}
    return sorted(filter(None, named))


async def _decision(picture: Picture, cause: Cause, allow: frozenset[str]) -> Decision:
    if not allow:
        return advance(picture, cause)
    # A plug-in may be slow: in a thread it holds up nobody else, and past the limit nobody waits for it.
    async with asyncio.timeout(THREAD_SECONDS):
        return await asyncio.to_thread(advance, picture, cause, allow=allow)
