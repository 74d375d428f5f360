"""Version copies: trees copied into other templates, and copies of templates brought up to date."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from appdb._driver import Session
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.models.workflow_templates import WorkflowTemplate
from appdb.models.workflow_versions import NewResolvedVersion, NewVersion, VersionSummary, VersionTree
from appdb.versions.reader import VersionReader
from appdb.versions.templates import VersionTemplates
from appdb.versions.trees import VersionTrees


class VersionCopies:
    """Copies trees, for ``VersionRepository``."""

    def __init__(
        self, connection: Connection, reader: VersionReader, templates: VersionTemplates, trees: VersionTrees
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._templates = templates
        self._trees = trees

    async def copy_into(
        self, version_id: str, owner_id: str, target: tuple[str, str], session: Session | None
    ) -> VersionTree:
        """Copy a source and its resolved versions into *target*, the id of a template and its owner."""
        version, parent = await self._reader.with_parent(version_id, owner_id, session)
        source = parent or version
        children = await self._reader.resolved_versions(source, owner_id, session)
        return await self._trees.store_tree(
            target,
            NewVersion(definition=source.definition, source_type=source.source_type),
            [NewResolvedVersion(definition=one.definition, requires=one.requires) for one in children],
            source.kind,
            session,
        )

    async def bring_up_to_date(self, template_id: str, owner_id: str) -> list[VersionTree]:
        """Copy what the owner's copy of a template lacks of its original, and return the new trees."""
        copy = await self._own_copy(template_id, owner_id)
        original = await self._templates.readable_template(str(copy.derived_from), owner_id, None)
        # Compared by content, since ids of the copy are its own.
        there = set(_contents(await self._reader.all_summaries(copy.id, owner_id)).values())
        versions = await self._reader.all_summaries(original.id, owner_id)
        missing = {
            version.parent_id or version.id
            for version, content in zip(versions, _contents(versions).values(), strict=True)
            if content not in there
        }
        # Oldest first, each in a transaction of its own: a killed sync is finished by the next one, and the latest
        # version is never there before the ones that it followed. Each is retried by itself: a sync that begins again
        # would not return the trees that it has copied before.
        copies = [
            partial(self.copy_into, version.id, owner_id, (copy.id, owner_id), None)
            for version in versions
            if version.id in missing
        ]
        return [await self._connection.retry(one) for one in copies]

    async def _own_copy(self, template_id: str, owner_id: str) -> WorkflowTemplate:
        template = await self._templates.readable_template(template_id, owner_id, None)
        if template.owner_id != owner_id:
            raise NotFoundError("workflow template", template_id)
        if template.derived_from is None:
            raise ConflictError("workflow template", template_id, "it is no copy; use copy_tree to copy into it")
        return template


def _contents(versions: Sequence[VersionSummary]) -> dict[str, tuple[str | None, str]]:
    """Return for each id the content of its source and its own: these are the same in any copy."""
    hashes = {one.id: one.content_hash for one in versions}
    return {one.id: (hashes.get(one.parent_id or ""), one.content_hash) for one in versions}
