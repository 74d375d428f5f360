"""Workflow templates: an owner's named collections of versions."""

from __future__ import annotations

import re

from appdb._driver import AFTER, DuplicateKeyError, RawDocument, Session
from appdb._queries import workflow_runs as run_queries
from appdb._queries import workflow_templates as queries
from appdb._queries import workflow_versions as version_queries
from appdb._queries.paging import NEWEST_FIRST
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, InvalidDataError, NotFoundError
from appdb.models.bounds import Name, accept
from appdb.models.workflow_templates import WorkflowTemplate
from appdb.reading import page_of
from appdb.utils import uuid7_str
from appdb.versions.duplicates import plain_name

MAX_TEMPLATE_NAME_CHARACTERS = 200
MAX_RUNS_COUNTED = 1_000
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class VersionTemplates:
    """Makes, finds, lists and deletes templates."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._templates = connection.collection(collections.WORKFLOW_TEMPLATES)
        self._versions = connection.collection(collections.WORKFLOW_VERSIONS)
        self._runs = connection.collection(collections.WORKFLOW_RUNS)

    async def named_template(self, name: str, owner_id: str, session: Session | None) -> WorkflowTemplate:
        """Return the owner's own template *name*, made if there is none; of many who ask at once, one makes it."""
        accept(Name, owner_id, "owner_id")
        known = _checked_name(name)
        fields = {"_id": uuid7_str("tpl_"), "derived_from": None}
        return await self._get_or_create(queries.named(owner_id, known), fields, session)

    async def copy_of_template(self, template_id: str, owner_id: str, session: Session | None) -> WorkflowTemplate:
        """Return the owner's hidden copy of a template, made without versions if there is none; see ``sync_copy``."""
        accept(Name, owner_id, "owner_id")
        original = await self.readable_template(template_id, owner_id, session)
        fields = {"_id": uuid7_str("tpl_"), "name": original.name}
        return await self._get_or_create(queries.copy_of(owner_id, original.id), fields, session)

    async def _get_or_create(
        self, match: RawDocument, fields: RawDocument, session: Session | None
    ) -> WorkflowTemplate:
        async def upsert() -> RawDocument:
            row: RawDocument = await self._templates.find_one_and_update(
                match, queries.create(fields), upsert=True, return_document=AFTER, session=session
            )
            return row

        try:
            return WorkflowTemplate.from_document(await upsert())
        except DuplicateKeyError:
            # A duplicate key has aborted the caller's transaction, so nothing more can be asked in it.
            if session is not None:
                raise
            # Two upserts of one name at once: the unique index refused ours, and the other one's is found now.
            return WorkflowTemplate.from_document(await upsert())

    async def readable_template(self, template_id: str, owner_id: str, session: Session | None) -> WorkflowTemplate:
        """Return a template that the owner may read, also by the id of a duplicate that was merged into it."""
        found = await self._templates.find_one(queries.one(template_id, owner_id), session=session)
        if found is None:
            raise NotFoundError("workflow template", template_id)
        return WorkflowTemplate.from_document(found)

    async def template_of_name(self, name: str, owner_id: str, session: Session | None) -> WorkflowTemplate:
        """Return the owner's own visible template *name*; pass ``GLOBAL_OWNER`` for a global one."""
        match = queries.named(owner_id, plain_name(name))
        found = await self._templates.find_one(match, session=session)
        if found is None:
            raise NotFoundError("workflow template", name)
        return WorkflowTemplate.from_document(found)

    async def page_of_templates(
        self, owner_id: str, before: str | None, limit: int, session: Session | None
    ) -> list[WorkflowTemplate]:
        """Return the visible templates that the owner may read, the own and the global ones, newest first."""
        last = None
        if before is not None:
            template = await self.readable_template(before, owner_id, session)
            last = {"created_at": template.created_at, "_id": template.id}
        found = self._templates.find(queries.page(owner_id, last), session=session).sort(NEWEST_FIRST)
        return await page_of(WorkflowTemplate.from_document, found, limit)

    async def delete_unused(self, template_id: str, owner_id: str, session: Session | None) -> None:
        """Delete the owner's template with all its versions, in one transaction; copies of it stay."""

        async def body(session: Session) -> None:
            match = queries.owned(template_id, owner_id)
            template = await self._templates.find_one_and_delete(match, session=session)
            if template is None:
                raise NotFoundError("workflow template", template_id)
            await self._check_unused(template["_id"], owner_id, session)
            await self._versions.delete_many(version_queries.of_templates([template["_id"]]), session=session)

        await self._connection.joined(body, session)

    async def _check_unused(self, template_id: str, owner_id: str, session: Session) -> None:
        match = run_queries.runs_of(template_id, owner_id)
        runs = await self._runs.count_documents(match, limit=MAX_RUNS_COUNTED, session=session)
        if runs:
            count = f"at least {runs}" if runs == MAX_RUNS_COUNTED else str(runs)
            raise ConflictError("workflow template", template_id, f"{count} runs use it; delete them first")


def _checked_name(name: str) -> str:
    known = plain_name(name)
    # ``strip`` takes separators such as U+001F for space, so they are looked for in the name as it was given.
    is_readable = known.isprintable() and not CONTROL.search(name)
    if not known or not is_readable or len(known) > MAX_TEMPLATE_NAME_CHARACTERS:
        raise InvalidDataError(
            "name", f"write 1 to {MAX_TEMPLATE_NAME_CHARACTERS} printable characters, such as 'Short film'"
        )
    return known
