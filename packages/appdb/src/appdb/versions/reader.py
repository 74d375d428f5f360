"""Version reading: versions found by id and content, listed, and chosen by capabilities."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from appdb._driver import RawDocument, Session
from appdb._queries import workflow_templates as template_queries
from appdb._queries import workflow_versions as queries
from appdb._queries.paging import NEWEST_FIRST, OLDEST_FIRST
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.models.workflow_versions import VersionKind, VersionSummary, WorkflowVersion
from appdb.reading import page_of, readable
from appdb.versions.choice import best_version
from appdb.versions.trees import MAX_RESOLVED

VERSION = "workflow version"


class VersionReader:
    """Reads versions, for ``VersionRepository``."""

    def __init__(self, connection: Connection) -> None:
        self._versions = connection.collection(collections.WORKFLOW_VERSIONS)

    async def readable_version(self, version_id: str, owner_id: str, session: Session | None) -> WorkflowVersion:
        """Return a version that the owner may read, also by the id of a duplicate that was merged into it."""
        found = await self._versions.find_one(queries.one(version_id, owner_id), session=session)
        if found is None:
            raise NotFoundError(VERSION, version_id)
        return WorkflowVersion.from_document(found)

    async def with_parent(
        self, version_id: str, owner_id: str, session: Session | None
    ) -> tuple[WorkflowVersion, WorkflowVersion | None]:
        """Return a version and the source that it was made of, ``None`` for a source."""
        version = await self.readable_version(version_id, owner_id, session)
        if version.parent_id is None:
            return version, None
        return version, await self.readable_version(version.parent_id, owner_id, session)

    async def version_of_content(
        self, template_id: str, content_hash: str, owner_id: str, session: Session | None
    ) -> WorkflowVersion:
        """Return the template's version with that content, a source before resolved ones."""
        match = queries.with_content(template_id, content_hash, owner_id)
        found = await self._versions.find_one(match, sort=queries.SOURCE_FIRST, session=session)
        if found is None:
            raise NotFoundError(VERSION, content_hash)
        return WorkflowVersion.from_document(found)

    async def newest_source(self, template_id: str, owner_id: str, session: Session | None) -> WorkflowVersion:
        """Return the template's source that was first stored last."""
        match = queries.children(template_id, None, owner_id)
        found = await self._versions.find_one(match, sort=NEWEST_FIRST, session=session)
        if found is None:
            raise NotFoundError("version of workflow template", template_id)
        return WorkflowVersion.from_document(found)

    async def page_of_sources(
        self, template_id: str, owner_id: str, before: str | None, limit: int, session: Session | None
    ) -> list[VersionSummary]:
        """Return a template's sources without their definitions, newest first."""
        last = await self._last(before, owner_id, session)
        return await self._newest(queries.page(template_id, None, owner_id, last), limit, session)

    async def page_of_resolved(
        self, version_id: str, owner_id: str, before: str | None, limit: int, session: Session | None
    ) -> list[VersionSummary]:
        """Return the resolved versions of a source without their definitions, newest first."""
        source = await self._summary(version_id, owner_id, session)
        last = await self._last(before, owner_id, session)
        return await self._newest(queries.page(source.template_id, source.id, owner_id, last), limit, session)

    async def version_for_client(
        self, version_id: str, capabilities: Collection[str], owner_id: str, session: Session | None
    ) -> WorkflowVersion:
        """Return the version that fits the capabilities best, of a version and the versions that it resolves to."""
        version = await self._summary(version_id, owner_id, session)
        match = queries.children(version.template_id, version.id, owner_id)
        # Chosen from summaries, so that of up to 256 definitions one is read.
        offered = [version, *await self._newest(match, MAX_RESOLVED, session)]
        best = best_version(offered, capabilities)
        if best is None:
            raise ConflictError(VERSION, version_id, _unfit(offered, capabilities))
        return await self.readable_version(best.id, owner_id, session)

    async def resolved_versions(
        self, source: WorkflowVersion, owner_id: str, session: Session | None
    ) -> list[WorkflowVersion]:
        """Return all versions that a source resolves to, oldest first."""
        rows = self._versions.find(queries.children(source.template_id, source.id, owner_id), session=session)
        return [WorkflowVersion.from_document(row) async for row in rows.sort(OLDEST_FIRST)]

    async def all_summaries(self, template_id: str, owner_id: str) -> list[VersionSummary]:
        """Return all versions of a template without their definitions, oldest first."""
        match = queries.of_templates([template_id]) | template_queries.readable(owner_id)
        rows = self._versions.find(match, queries.WITHOUT_DEFINITION)
        found = readable(VersionSummary.from_document, await rows.to_list(None))
        return sorted(found, key=lambda version: (version.created_at, version.id))

    async def _summary(self, version_id: str, owner_id: str, session: Session | None) -> VersionSummary:
        match = queries.one(version_id, owner_id)
        found = await self._versions.find_one(match, queries.WITHOUT_DEFINITION, session=session)
        if found is None:
            raise NotFoundError(VERSION, version_id)
        return VersionSummary.from_document(found)

    async def _last(self, before: str | None, owner_id: str, session: Session | None) -> RawDocument | None:
        if before is None:
            return None
        version = await self._summary(before, owner_id, session)
        return {"created_at": version.created_at, "_id": version.id}

    async def _newest(self, match: RawDocument, limit: int, session: Session | None) -> list[VersionSummary]:
        found = self._versions.find(match, queries.WITHOUT_DEFINITION, session=session).sort(NEWEST_FIRST)
        return await page_of(VersionSummary.from_document, found, limit)


def _unfit(offered: Sequence[VersionSummary], capabilities: Collection[str]) -> str:
    missing = {
        ", ".join(sorted({need.capability for need in one.requires} - set(capabilities)))
        for one in offered
        if one.kind is not VersionKind.UNRESOLVED
    }
    if not missing:
        return "it is unresolved, and nothing it resolves to is stored; store it again with its resolved versions"
    return f"the client is not capable of any version of it; it lacks one of: {'; or '.join(sorted(missing))}"
