"""The pages of runs: the workflows that can be started, and one run with its question and its ways back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import JsonValue
from starlette.datastructures import FormData

from appdb import ConflictError
from appdb.models import RunView
from appserver.engine.core.children import definition_of
from appserver.engine.definition.parsing import stored_definition
from appserver.engine.definition.shipped import shipped_workflows
from appserver.engine.parts import questions_of_parts
from appserver.engine.service import NewStart
from appserver.errors import InvalidAnswerError, RunConflictError
from appserver.http.callers import OwnerDep, StateDep, VisitorDep, make_guest
from appserver.http.routing import Router
from appserver.http.same_site import SameSiteDep
from appserver.state import AppState
from appserver.streams.completions import completion_of
from appserver.web.answer_form import ShownQuestion, answer_of
from appserver.web.cookies import remember
from appserver.web.rendering import PageRoute, templates
from appserver.web.run_page import RunFacts, run_page
from appserver.web.texts import run_word

router = Router(include_in_schema=False, route_class=PageRoute)

RECENT = 20
MAX_CHILDREN = 100


async def sent_form(request: Request) -> FormData:
    """Return the fields that were sent."""
    return await request.form(max_fields=1_000, max_files=0)


SentForm = Annotated[FormData, Depends(sent_form)]


@router.get("/runs")
async def show_runs(request: Request, visitor: VisitorDep, state: StateDep) -> Response:
    """Show the workflows that are shipped, and the visitor's latest runs."""
    runs = [] if visitor is None else await state.stores.runs.page(owner_id=visitor, limit=RECENT)
    context = {
        "workflows": shipped_workflows().values(),
        "rows": [(run, run_word(run.status)) for run in runs],
    }
    return templates.TemplateResponse(request, "runs.html", context)


@router.post("/runs")
async def start_run(
    request: Request,
    visitor: VisitorDep,
    state: StateDep,
    _site: SameSiteDep,
    workflow: Annotated[str, Form()],
    model: Annotated[str, Form()] = "",
) -> Response:
    """Start a shipped workflow, and go to the run's page."""
    key = None
    if visitor is None:
        guest = await make_guest(request, state)
        visitor, key = guest.user_id, guest.secret
    version = await state.engine.workflows.shipped(workflow)
    given: dict[str, JsonValue] = {"model": model} if model else {}
    view, _ = await state.engine.start(NewStart(owner_id=visitor, version_id=version.id, input=given))
    answer = RedirectResponse(f"/runs/{view.run.id}", HTTPStatus.SEE_OTHER)
    if key is not None:
        remember(request, answer, key)
    return answer


@router.get("/runs/{run_id}")
async def show_run(request: Request, run_id: str, owner: OwnerDep, state: StateDep) -> Response:
    """Show a run as it is now; the page's script follows it from there."""
    view = await state.engine.view(run_id, owner_id=owner)
    return await _page(request, state, view)


@router.post("/runs/{run_id}/answer")
async def answer_question(request: Request, run_id: str, owner: OwnerDep, state: StateDep, sent: SentForm) -> Response:
    """Answer the open question, and show what follows; what does not fit comes back with what is wrong."""
    view = await state.engine.view(run_id, owner_id=owner)
    asked = str(sent.get("interaction_id", ""))
    pending = view.state.pending
    if pending is None or pending.data["interaction_id"] != asked:
        # Answered elsewhere, or gone back: the page shows what is asked now.
        return RedirectResponse(f"/runs/{run_id}", HTTPStatus.SEE_OTHER)
    try:
        response = answer_of(ShownQuestion.of(pending), sent)
        await state.engine.respond(run_id, asked, response, owner_id=owner)
    except ValueError as exc:
        return await _page(request, state, view, (str(exc),))
    except InvalidAnswerError as exc:
        return await _page(request, state, view, tuple(f"{one.field or 'answer'}: {one.message}" for one in exc.errors))
    except RunConflictError:
        # Somebody else was quicker; the page shows the answer that counts.
        return RedirectResponse(f"/runs/{run_id}", HTTPStatus.SEE_OTHER)
    return RedirectResponse(f"/runs/{run_id}", HTTPStatus.SEE_OTHER)


@router.post("/runs/{run_id}/cancel")
async def cancel_run(run_id: str, owner: OwnerDep, state: StateDep) -> Response:
    """Cancel a run from its page, and show it again."""
    with suppress(ConflictError):
        # It ended meanwhile, and its page says how.
        await state.engine.cancel(run_id, owner_id=owner)
    return RedirectResponse(f"/runs/{run_id}", HTTPStatus.SEE_OTHER)


async def _page(request: Request, state: AppState, view: RunView, errors: tuple[str, ...] = ()) -> Response:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if errors else HTTPStatus.OK
    context = {"page": run_page(await _facts(state, view), errors)}
    return templates.TemplateResponse(request, "run.html", context, status_code=status)


async def _facts(state: AppState, view: RunView) -> RunFacts:
    run, owner = view.run, view.run.owner_id
    version, generations, children, branches, asked = await asyncio.gather(
        state.engine.workflows.version(run.version_id or "", owner_id=owner),
        state.contents.list_for_run(run.id, owner_id=owner),
        state.stores.runs.children(run.id, owner_id=owner, limit=MAX_CHILDREN),
        state.stores.branches.page(run.id, owner_id=owner),
        questions_of_parts(view, state.stores.lists),
    )
    created = {} if view.state.created is None else view.state.created.data
    completion = await completion_of(view, state.stores.events)
    return RunFacts(
        view=view,
        definition=definition_of(stored_definition(version.definition), created),
        contents=[item for generation in generations for item in generation.items],
        children=children,
        branches=branches,
        asked_by_parts=asked,
        output=None if completion is None else completion.data.get("output"),
    )
