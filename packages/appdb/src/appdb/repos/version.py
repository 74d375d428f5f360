"""VersionRepository: workflow templates and their immutable versions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from appdb._driver import Session, retried, retried_deletion
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.models.workflow_templates import WorkflowTemplate
from appdb.models.workflow_versions import (
    Deduplication,
    NewResolvedVersion,
    NewVersion,
    VersionKind,
    VersionSummary,
    VersionTree,
    WorkflowVersion,
)
from appdb.versions.copies import VersionCopies
from appdb.versions.duplicates import VersionDuplicates
from appdb.versions.reader import VersionReader
from appdb.versions.templates import VersionTemplates
from appdb.versions.trees import VersionTrees


class VersionRepository(BaseRepository):
    """
    An owner's workflow templates with their versions, and the global ones, which everybody may read.

    Whoever passes ``GLOBAL_OWNER`` as the owner writes global templates; the application decides who that is. A
    definition is never changed: what differs is another version, and what does not is the same one.

    Args:
        connection: An open ``Database``.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._reader = VersionReader(connection)
        self._templates = VersionTemplates(connection)
        self._trees = VersionTrees(connection)
        self._copies = VersionCopies(connection, self._reader, self._templates, self._trees)
        self._duplicates = VersionDuplicates(connection)

    @retried
    async def get_or_create_template(
        self, name: str, *, owner_id: str, session: Session | None = None
    ) -> WorkflowTemplate:
        """Return the owner's own template *name*, made if there is none; of many who ask at once, one makes it.

        Args:
            name: 1 to 200 printable characters; spaces around it do not count.
            owner_id: Who has it, ``GLOBAL_OWNER`` for everybody's.
            session: A transaction to take part in.

        Raises:
            InvalidDataError: The name cannot be used; nothing was written.
        """
        return await self._templates.named_template(name, owner_id, session)

    @retried
    async def get_or_create_copy(
        self, template_id: str, *, owner_id: str, session: Session | None = None
    ) -> WorkflowTemplate:
        """Return the owner's hidden copy of a template, made without versions if there is none; see ``sync_copy``.

        Args:
            template_id: The template, global or the owner's.
            owner_id: Who has the copy.
            session: A transaction to take part in.

        Raises:
            NotFoundError: The owner sees no such template.
        """
        return await self._templates.copy_of_template(template_id, owner_id, session)

    @retried
    async def get_template(
        self, template_id: str, *, owner_id: str, session: Session | None = None
    ) -> WorkflowTemplate:
        """Return a template that the owner may read, also by the id of a duplicate that was merged into it.

        Raises:
            NotFoundError: The owner sees no such template.
        """
        return await self._templates.readable_template(template_id, owner_id, session)

    @retried
    async def find_template(self, name: str, *, owner_id: str, session: Session | None = None) -> WorkflowTemplate:
        """Return the owner's own visible template *name*; pass ``GLOBAL_OWNER`` for a global one.

        Raises:
            NotFoundError: The owner has no such template.
        """
        return await self._templates.template_of_name(name, owner_id, session)

    @retried
    async def list_templates(
        self, *, owner_id: str, before: str | None = None, limit: int = 50, session: Session | None = None
    ) -> list[WorkflowTemplate]:
        """Return the visible templates that the owner may read, the own and the global ones, newest first.

        Args:
            owner_id: Who asks.
            before: The id of the last template of the page before.
            limit: The most templates to return.
            session: A transaction to take part in.

        Raises:
            NotFoundError: The owner sees no template *before*.
        """
        return await self._templates.page_of_templates(owner_id, before, limit, session)

    @retried_deletion
    async def delete_template(self, template_id: str, *, owner_id: str, session: Session | None = None) -> None:
        """Delete the owner's template with all its versions, in one transaction; copies of it stay.

        Raises:
            NotFoundError: The owner has no such template; after an unknown outcome, that it is gone.
            ConflictError: Runs use it; nothing was deleted.
        """
        await self._templates.delete_unused(template_id, owner_id, session)

    @retried
    async def store(
        self,
        template_id: str,
        source: NewVersion,
        *,
        owner_id: str,
        resolved: Sequence[NewResolvedVersion] = (),
        session: Session | None = None,
    ) -> VersionTree:
        """Store a source and all that it resolves to in one transaction: all of it is seen, or nothing; safe to repeat.

        What the template has already is returned as it was stored first: a source by its content, a resolved version
        by its content among those of its source. A source that comes with resolved versions becomes unresolved, even
        if it was stored without any before.

        Args:
            template_id: The owner's template.
            source: The source.
            owner_id: Whose template, ``GLOBAL_OWNER`` for a global one.
            resolved: What the source resolves to, at most 256 versions.
            session: A transaction to take part in.

        Raises:
            NotFoundError: The owner has no such template.
            InvalidDataError: A definition or a requirement cannot be stored, two versions contradict each other, or
                the source has over 256 resolved versions with what was stored before.
            TooLargeError: A definition is over 4 MiB as BSON, or all of the source's together are over 32 MiB.
            ConflictError: An id is another version's; nothing was written.
        """
        kind = VersionKind.UNRESOLVED if resolved else VersionKind.RAW
        return await self._trees.store_tree((template_id, owner_id), source, resolved, kind, session)

    @retried
    async def get(self, version_id: str, *, owner_id: str, session: Session | None = None) -> WorkflowVersion:
        """Return a version that the owner may read, also by the id of a duplicate that was merged into it.

        Raises:
            NotFoundError: The owner sees no such version.
        """
        return await self._reader.readable_version(version_id, owner_id, session)

    @retried
    async def get_with_parent(
        self, version_id: str, *, owner_id: str, session: Session | None = None
    ) -> tuple[WorkflowVersion, WorkflowVersion | None]:
        """Return a version, and the source that it was made of, ``None`` for a source.

        Raises:
            NotFoundError: The owner sees no such version.
        """
        return await self._reader.with_parent(version_id, owner_id, session)

    @retried
    async def find_by_content(
        self, template_id: str, content_hash: str, *, owner_id: str, session: Session | None = None
    ) -> WorkflowVersion:
        """Return the template's version with that content, the source if there are a source and resolved ones.

        Args:
            template_id: A template that the owner may read.
            content_hash: What ``appdb.content_hash`` says of the definition.
            owner_id: Who asks.
            session: A transaction to take part in.

        Raises:
            NotFoundError: The owner sees no such version.
        """
        return await self._reader.version_of_content(template_id, content_hash, owner_id, session)

    @retried
    async def latest_source(
        self, template_id: str, *, owner_id: str, session: Session | None = None
    ) -> WorkflowVersion:
        """Return the source that was first stored last, by the database's clock.

        Raises:
            NotFoundError: The owner sees no such template, or it has no version yet.
        """
        return await self._reader.newest_source(template_id, owner_id, session)

    @retried
    async def list_sources(
        self,
        template_id: str,
        *,
        owner_id: str,
        before: str | None = None,
        limit: int = 50,
        session: Session | None = None,
    ) -> list[VersionSummary]:
        """Return a template's sources without their definitions, newest first.

        Args:
            template_id: A template that the owner may read.
            owner_id: Who asks.
            before: The id of the last version of the page before.
            limit: The most versions to return.
            session: A transaction to take part in.

        Raises:
            NotFoundError: The owner sees no version *before*.
        """
        return await self._reader.page_of_sources(template_id, owner_id, before, limit, session)

    @retried
    async def list_resolved(
        self,
        version_id: str,
        *,
        owner_id: str,
        before: str | None = None,
        limit: int = 50,
        session: Session | None = None,
    ) -> list[VersionSummary]:
        """Return what a source resolves to, without definitions, newest first; nothing for other versions.

        Args:
            version_id: A source that the owner may read.
            owner_id: Who asks.
            before: The id of the last version of the page before.
            limit: The most versions to return.
            session: A transaction to take part in.

        Raises:
            NotFoundError: The owner sees no such version, or no version *before*.
        """
        return await self._reader.page_of_resolved(version_id, owner_id, before, limit, session)

    @retried
    async def version_for(
        self, version_id: str, capabilities: Collection[str], *, owner_id: str, session: Session | None = None
    ) -> WorkflowVersion:
        """Return what a client gets for a version: it, or of what it resolves to, what fits the capabilities best.

        Best is the highest sum of priorities, then the most requirements, then the lowest content hash: the same for
        every host, and for every copy of the template.

        Args:
            version_id: A version that the owner may read.
            capabilities: What the client is capable of.
            owner_id: Who asks.
            session: A transaction to take part in.

        Raises:
            NotFoundError: The owner sees no such version.
            ConflictError: No version fits; the error says what is missing.
        """
        return await self._reader.version_for_client(version_id, capabilities, owner_id, session)

    @retried
    async def copy_tree(
        self,
        version_id: str,
        target_template_id: str,
        *,
        owner_id: str,
        target_owner_id: str | None = None,
        session: Session | None = None,
    ) -> VersionTree:
        """Copy a source and all that it resolves to into another template, in one transaction; safe to repeat.

        Versions are found by their content, so that only what the target lacks is made, and parents are the copies.

        Args:
            version_id: A source that the owner may read; of a resolved version, its source is copied.
            target_template_id: The template that gets the copy.
            owner_id: Who reads.
            target_owner_id: Who owns the target; ``None`` for *owner_id*.
            session: A transaction to take part in.

        Raises:
            NotFoundError: One of the owners has no such version or template.
        """
        target = target_template_id, target_owner_id or owner_id
        return await self._copies.copy_into(version_id, owner_id, target, session)

    @retried
    async def sync_copy(self, template_id: str, *, owner_id: str) -> list[VersionTree]:
        """Bring the owner's copy of a template up to its original, and return the trees that were new; safe to repeat.

        Oldest first, each tree in a transaction of its own: a sync that was killed is finished by the next one, and
        the latest version is never there before the ones that it followed.

        Args:
            template_id: The copy, of ``get_or_create_copy``.
            owner_id: Whose copy.

        Raises:
            NotFoundError: The owner has no such template, or does not see its original any more.
            ConflictError: The template is no copy.
        """
        return await self._copies.bring_up_to_date(template_id, owner_id)

    @retried
    async def deduplicate(self, *, owner_id: str, dry_run: bool = False) -> Deduplication:
        """Merge what is there twice, and return what was merged: templates of one name, versions of one content.

        Such duplicates come from data that was stored by other rules, such as another form of hashing. The oldest
        template stays, and the version that requires least, then the oldest; the ids of the others still find it.
        Runs follow their template. Each name is a transaction of its own, so a killed run is finished by the next.

        It reads every definition of the owner, one at a time.

        Args:
            owner_id: Whose templates.
            dry_run: Only say what would be merged.

        Raises:
            InvalidDataError: A stored definition is no canonical JSON; the error names its version.
            ConflictError: Versions never stopped to change meanwhile; repeat it.
        """
        return await (self._duplicates.find(owner_id) if dry_run else self._duplicates.merge(owner_id))
