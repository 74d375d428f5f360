"""Workflows: templates, and the checked definitions that are stored as their versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appdb import NotFoundError, VersionRepository
from appdb.models import GLOBAL_OWNER, NewVersion, VersionSummary, WorkflowTemplate, WorkflowVersion
from appserver.engine.definition.parsing import CheckedDefinition, check_definition_aside
from appserver.engine.definition.shipped import shipped_workflows
from appserver.errors import DefinitionError
from appserver.modules.registry import ModuleRegistry


class Workflows:
    """
    The workflows of users.

    Args:
        versions: Where they are stored.
        registry: The module types of this host, against which definitions are checked.
    """

    def __init__(self, versions: VersionRepository, registry: ModuleRegistry) -> None:
        self._versions = versions
        self._registry = registry

    async def check(self, definition: Mapping[str, Any]) -> CheckedDefinition:
        """Return what is right and wrong with a definition; nothing is stored."""
        # Another host may have the module types that this one lacks.
        return await check_definition_aside(definition, self._registry, lacking="warning")

    async def save(self, definition: Mapping[str, Any], *, owner_id: str) -> tuple[WorkflowTemplate, VersionSummary]:
        """Store a definition as a version of the owner's workflow of its name; the same one again changes nothing.

        Raises:
            DefinitionError: It has problems; all of them.
        """
        checked = await self.check(definition)
        if checked.definition is None or checked.refused:
            raise DefinitionError(checked.problems)
        template = await self._versions.get_or_create_template(checked.definition.name, owner_id=owner_id)
        # As it was written: it is shown to its author again.
        tree = await self._versions.store(template.id, NewVersion(definition=dict(definition)), owner_id=owner_id)
        return template, tree.source

    async def offer_shipped(self) -> None:
        """Store the shipped workflows for everybody; what is stored already changes nothing.

        Raises:
            DefinitionError: This host lacks what a shipped workflow needs.
        """
        for definition in shipped_workflows().values():
            await self.save(definition, owner_id=GLOBAL_OWNER)

    async def shipped(self, name: str) -> WorkflowVersion:
        """Return the newest version of a shipped workflow.

        Raises:
            NotFoundError: None has this name.
        """
        if name not in shipped_workflows():
            raise NotFoundError("workflow", name)
        template = await self._versions.get_or_create_template(name, owner_id=GLOBAL_OWNER)
        return await self._versions.latest_source(template.id, owner_id=GLOBAL_OWNER)

    async def page(self, *, owner_id: str, before: str | None, limit: int) -> Sequence[WorkflowTemplate]:
        """Return the workflows that the owner may use, newest first."""
        return await self._versions.list_templates(owner_id=owner_id, before=before, limit=limit)

    async def get(self, template_id: str, *, owner_id: str) -> tuple[WorkflowTemplate, WorkflowVersion]:
        """Return a workflow with its newest version.

        Raises:
            NotFoundError: The owner sees no such workflow.
        """
        template = await self._versions.get_template(template_id, owner_id=owner_id)
        return template, await self._versions.latest_source(template.id, owner_id=owner_id)

    async def newest(self, template_id: str, *, owner_id: str) -> VersionSummary:
        """Return the newest version of a workflow, without its definition: one round trip.

        Raises:
            NotFoundError: The owner sees no such workflow.
        """
        found = await self._versions.list_sources(template_id, owner_id=owner_id, limit=1)
        # A workflow that was merged into another one goes by its old id too.
        return found[0] if found else (await self.get(template_id, owner_id=owner_id))[1]

    async def version(self, version_id: str, *, owner_id: str) -> WorkflowVersion:
        """Return a version that the owner may use.

        Raises:
            NotFoundError: The owner sees no such version.
        """
        return await self._versions.get(version_id, owner_id=owner_id)

    async def versions(
        self, template_id: str, *, owner_id: str, before: str | None, limit: int
    ) -> Sequence[VersionSummary]:
        """Return the versions of a workflow, newest first, without their definitions.

        Raises:
            NotFoundError: The owner sees no such workflow.
        """
        await self._versions.get_template(template_id, owner_id=owner_id)
        return await self._versions.list_sources(template_id, owner_id=owner_id, before=before, limit=limit)

    async def delete(self, template_id: str, *, owner_id: str) -> None:
        """Delete the owner's workflow with its versions.

        Raises:
            NotFoundError: The owner has no such workflow.
            ConflictError: Runs use it.
        """
        await self._versions.delete_template(template_id, owner_id=owner_id)
