"""Routes of workflows: list, check and store definitions."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Query, Response

from appserver.api.dependencies import DefinitionJsonDep, check_definition_keys
from appserver.api.schemas.workflows import (
    CheckView,
    VersionInfo,
    VersionPage,
    VersionView,
    WorkflowPage,
    WorkflowQuery,
    WorkflowRequest,
    WorkflowSummary,
    WorkflowView,
)
from appserver.engine.definition.published import definition_schema
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.paging import page_cursor
from appserver.http.routing import Router

router = Router(prefix="/api/workflows", tags=["workflows"])


@router.get("")
async def list_workflows(query: Annotated[WorkflowQuery, Query()], owner: OwnerDep, state: StateDep) -> WorkflowPage:
    """Return a page of the workflows that the caller may use, newest first."""
    with page_cursor():
        found = await state.engine.workflows.page(owner_id=owner, before=query.before, limit=query.limit)
    following = found[-1].id if len(found) == query.limit else None
    return WorkflowPage(items=[WorkflowSummary.of_template(one) for one in found], next=following)


@router.get("/schema")
async def get_schema(state: StateDep) -> dict[str, Any]:
    """Return the JSON Schema of definitions, with the modules that this host offers."""
    return definition_schema(state.modules)


@router.post("/check", dependencies=[Depends(check_definition_keys)])
async def check_workflow(
    body: WorkflowRequest, _json: DefinitionJsonDep, _owner: OwnerDep, state: StateDep
) -> CheckView:
    """Return all that is wrong with a definition; nothing is stored."""
    checked = await state.engine.workflows.check(body.definition)
    return CheckView(valid=not checked.refused, problems=list(checked.problems))


@router.post("", status_code=HTTPStatus.CREATED, dependencies=[Depends(check_definition_keys)])
async def save_workflow(
    body: WorkflowRequest, _json: DefinitionJsonDep, response: Response, owner: OwnerDep, state: StateDep
) -> WorkflowView:
    """Store a definition as a version of the caller's workflow of its name; the same one again changes nothing."""
    template, saved = await state.engine.workflows.save(body.definition, owner_id=owner)
    response.headers["Location"] = f"/api/workflows/{template.id}"
    return WorkflowView.of(template, await state.engine.workflows.version(saved.id, owner_id=owner))


@router.get("/{template_id}")
async def get_workflow(template_id: str, owner: OwnerDep, state: StateDep) -> WorkflowView:
    """Return a workflow with its newest version."""
    return WorkflowView.of(*await state.engine.workflows.get(template_id, owner_id=owner))


@router.get("/{template_id}/versions")
async def list_versions(
    template_id: str, query: Annotated[WorkflowQuery, Query()], owner: OwnerDep, state: StateDep
) -> VersionPage:
    """Return a page of a workflow's versions, newest first."""
    if query.before is None:
        found = await state.engine.workflows.versions(template_id, owner_id=owner, before=None, limit=query.limit)
    else:
        with page_cursor():
            found = await state.engine.workflows.versions(
                template_id, owner_id=owner, before=query.before, limit=query.limit
            )
    following = found[-1].id if len(found) == query.limit else None
    return VersionPage(items=[VersionInfo.of(one) for one in found], next=following)


@router.get("/versions/{version_id}")
async def get_version(version_id: str, owner: OwnerDep, state: StateDep) -> VersionView:
    """Return a version with its definition."""
    return VersionView.of_version(await state.engine.workflows.version(version_id, owner_id=owner))


@router.delete("/{template_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_workflow(template_id: str, owner: OwnerDep, state: StateDep) -> None:
    """Delete a workflow of the caller's with its versions; 409 while runs use it."""
    await state.engine.workflows.delete(template_id, owner_id=owner)
