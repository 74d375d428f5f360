"""Stored definitions: the versions that runs follow, kept in memory, since a version never changes."""

from __future__ import annotations

from collections import OrderedDict

from appdb import VersionRepository
from appserver.engine.definition.model import Definition
from appserver.engine.definition.parsing import stored_definition

MOST_KEPT = 128
"""Definitions that a host keeps; each is at most 1 MiB of JSON."""


class StoredDefinitions:
    """
    The definitions of versions, those that were used last kept.

    Args:
        versions: Where they are stored.
    """

    def __init__(self, versions: VersionRepository) -> None:
        self._versions = versions
        self._kept: OrderedDict[tuple[str, str], Definition] = OrderedDict()

    async def get(self, version_id: str, *, owner_id: str) -> Definition:
        """Return the definition of a version: one round trip, or none.

        Raises:
            NotFoundError: The owner sees no such version.
            DefinitionError: This release cannot read it.
        """
        # With the owner: what one may read says nothing of the others.
        key = (owner_id, version_id)
        found = self._kept.get(key)
        if found is None:
            version = await self._versions.get(version_id, owner_id=owner_id)
            found = self._kept[key] = stored_definition(version.definition)
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return found
