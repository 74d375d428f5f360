"""Duplicates: templates of one name and versions of one content, found and merged."""

from __future__ import annotations

import asyncio
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from appdb._driver import RawDocument, Session
from appdb._queries import workflow_templates as template_queries
from appdb._queries import workflow_versions as queries
from appdb._schema import collections
from appdb.canonical import content_hash
from appdb.connection import Connection
from appdb.errors import ConflictError
from appdb.models.workflow_templates import TemplateMerge, TemplateVisibility, WorkflowTemplate
from appdb.models.workflow_versions import Deduplication, VersionMerge, VersionSummary, WorkflowVersion

MAX_TRIES = 5
"""How often a template is looked through again because its versions changed meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedVersion:
    """A version, and the hash of its definition, computed anew."""

    summary: VersionSummary
    content_hash: str


def plain_name(name: str) -> str:
    """Return *name* in Unicode's composed form and without spaces around it: names that read the same are the same."""
    return unicodedata.normalize("NFC", name).strip()


def groups_of(templates: Iterable[WorkflowTemplate]) -> list[list[WorkflowTemplate]]:
    """Return *templates* in groups of what should be one, the oldest first: one for each name, hidden ones alone."""
    groups: dict[str, list[WorkflowTemplate]] = defaultdict(list)
    for one in sorted(templates, key=lambda template: (template.created_at, template.id)):
        is_hidden = one.visibility is TemplateVisibility.HIDDEN
        groups[f"id {one.id}" if is_hidden else f"name {plain_name(one.name)}"].append(one)
    return list(groups.values())


def merges_of(template_id: str, versions: Iterable[HashedVersion]) -> list[VersionMerge]:
    """Return how the versions of what is to be the template *template_id* become one for each content.

    Sources go first, since those that become one bring their resolved versions together.
    """
    found = list(versions)
    sources = [one for one in found if one.summary.parent_id is None]
    parents, merges = _merged(template_id, sources, {})
    resolved = [one for one in found if one.summary.parent_id is not None]
    return merges + _merged(template_id, resolved, parents)[1]


def _merged(
    template_id: str, versions: Iterable[HashedVersion], parents: dict[str, str]
) -> tuple[dict[str, str], list[VersionMerge]]:
    groups: dict[tuple[str, str], list[HashedVersion]] = defaultdict(list)
    for one in versions:
        parent_id = one.summary.parent_id or ""
        groups[parents.get(parent_id, parent_id), one.content_hash].append(one)
    kept_for: dict[str, str] = {}
    merges: list[VersionMerge] = []
    for group in groups.values():
        # The version that requires least stays, so that no client loses one that it could run.
        kept, *rest = sorted(group, key=_seniority)
        kept_for |= {one.summary.id: kept.summary.id for one in rest}
        if rest or kept.summary.content_hash != kept.content_hash:
            merges.append(
                VersionMerge(
                    template_id=template_id,
                    kept_id=kept.summary.id,
                    merged_ids=_all_ids(one.summary for one in rest),
                    content_hash=kept.content_hash,
                )
            )
    return kept_for, merges


def _all_ids(documents: Iterable[VersionSummary | WorkflowTemplate]) -> tuple[str, ...]:
    return tuple(found for one in documents for found in (one.id, *one.merged_ids))


def _seniority(one: HashedVersion) -> tuple[object, ...]:
    return len(one.summary.requires), one.summary.created_at, one.summary.id


class VersionDuplicates:
    """Finds and merges duplicates, for ``VersionRepository``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._templates = connection.collection(collections.WORKFLOW_TEMPLATES)
        self._versions = connection.collection(collections.WORKFLOW_VERSIONS)
        self._runs = connection.collection(collections.WORKFLOW_RUNS)

    async def find(self, owner_id: str) -> Deduplication:
        """Return what ``merge`` would do."""
        groups = groups_of(await self._read(template_queries.all_of(owner_id)))
        return _together([await self._plan(group) for group in groups])

    async def merge(self, owner_id: str) -> Deduplication:
        """Merge all duplicates of the owner, each name in a transaction of its own, and return what was merged.

        Raises:
            ConflictError: A template's versions never stopped to change meanwhile.
        """
        groups = groups_of(await self._read(template_queries.all_of(owner_id)))
        return _together([await self._merge_group(owner_id, [one.id for one in group]) for group in groups])

    async def _merge_group(self, owner_id: str, template_ids: Sequence[str]) -> Deduplication:
        for _ in range(MAX_TRIES):
            # Definitions are read outside of the transaction, which would otherwise last too long.
            found = groups_of(await self._read(template_queries.some_of(owner_id, template_ids)))
            group = found[0] if found else []
            plan = await self._plan(group)
            if not (plan.templates or plan.versions) or await self._apply(owner_id, group, plan):
                return plan
        raise ConflictError("workflow template", template_ids[0], "its versions keep changing; deduplicate it again")

    async def _read(self, match: RawDocument) -> list[WorkflowTemplate]:
        return [WorkflowTemplate.from_document(row) async for row in self._templates.find(match)]

    async def _plan(self, group: Sequence[WorkflowTemplate]) -> Deduplication:
        if not group:
            return Deduplication()
        kept, *rest = group
        name = plain_name(kept.name)
        templates = [TemplateMerge(kept_id=kept.id, merged_ids=_all_ids(rest), name=name)]
        rows = self._versions.find(queries.of_templates([one.id for one in group]))
        versions = [await asyncio.to_thread(_hashed, row) async for row in rows]
        return Deduplication(
            templates=tuple(templates if rest or name != kept.name else ()),
            versions=tuple(merges_of(kept.id, versions)),
        )

    async def _apply(self, owner_id: str, group: Sequence[WorkflowTemplate], plan: Deduplication) -> bool:
        """Carry *plan* out, unless a version of one of its templates has changed since it was made."""

        async def body(session: Session) -> bool:
            for one in group:
                match = template_queries.unchanged(one.id, owner_id, one.revision)
                touched = await self._templates.update_one(match, template_queries.touch(), session=session)
                if not touched.matched_count:
                    return False
            await self._apply_to_versions(plan.versions, session)
            for merge in plan.templates:
                await self._apply_to_template(merge, session)
            if group:
                await self._adopt(group[0].id, plan.versions, session)
            return True

        return await self._connection.transaction(body)

    async def _apply_to_versions(self, merges: Sequence[VersionMerge], session: Session) -> None:
        # Deleted before anything is moved: the unique index allows a content once in a template.
        gone = [one for merge in merges for one in merge.merged_ids]
        await self._versions.delete_many(queries.some(gone), session=session)
        for merge in merges:
            update = queries.stand_for(merge.content_hash, merge.merged_ids)
            await self._versions.update_one({"_id": merge.kept_id}, update, session=session)

    async def _apply_to_template(self, merge: TemplateMerge, session: Session) -> None:
        match, update = queries.move(merge.merged_ids, merge.kept_id)
        await self._versions.update_many(match, update, session=session)
        # Runs follow their template to the id that stays.
        await self._runs.update_many(match, update, session=session)
        await self._templates.delete_many(queries.some(merge.merged_ids), session=session)
        renamed = template_queries.take_over(merge.name, merge.merged_ids)
        await self._templates.update_one({"_id": merge.kept_id}, renamed, session=session)

    async def _adopt(self, template_id: str, merges: Sequence[VersionMerge], session: Session) -> None:
        parents = {old: merge.kept_id for merge in merges for old in merge.merged_ids}
        if parents:
            match, update = queries.move_children(template_id, parents)
            await self._versions.update_many(match, update, session=session)


def _hashed(row: RawDocument) -> HashedVersion:
    version = WorkflowVersion.from_document(row)
    digest = content_hash(version.definition, field=f"definition of {version.id}")
    return HashedVersion(summary=VersionSummary.from_document(row), content_hash=digest)


def _together(plans: Iterable[Deduplication]) -> Deduplication:
    done = list(plans)
    return Deduplication(
        templates=tuple(one for plan in done for one in plan.templates),
        versions=tuple(one for plan in done for one in plan.versions),
    )
