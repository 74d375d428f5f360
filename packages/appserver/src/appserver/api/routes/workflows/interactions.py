"""Routes of questions: the inbox, one question, and its answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from appserver.api.dependencies import JsonDep
from appserver.api.run_views import shown_run
from appserver.api.schemas.interactions import AnswerRequest, InboxEntry, InboxPage, InboxQuery, InteractionView
from appserver.api.schemas.runs import ShownRun
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.routing import Router

router = Router(prefix="/api", tags=["interactions"])


@router.get("/interactions")
async def list_open_questions(query: Annotated[InboxQuery, Query()], owner: OwnerDep, state: StateDep) -> InboxPage:
    """Return a page of what the caller's runs ask, those that are parts of others included; the oldest first."""
    found = await state.stores.lists.inbox(
        owner_id=owner, newest_first=query.newest_first, before=query.before, limit=query.limit
    )
    # A question that was answered while this was read has no request any more.
    items = [InboxEntry.of(asked, asked.request) for asked in found if asked.request is not None]
    return InboxPage(items=items, next=found[-1].place if len(found) == query.limit else None)


@router.get("/runs/{run_id}/interactions/{interaction_id}")
async def get_interaction(run_id: str, interaction_id: str, owner: OwnerDep, state: StateDep) -> InteractionView:
    """Return a question of a run with its answer, if it has one, on whichever branch it was asked."""
    view = await state.engine.view(run_id, owner_id=owner)
    events = await state.stores.events.of_interaction(run_id, interaction_id, owner_id=owner)
    return InteractionView.of(view, interaction_id, events)


@router.post("/runs/{run_id}/interactions/{interaction_id}/answer")
async def answer(
    run_id: str, interaction_id: str, body: AnswerRequest, _json: JsonDep, owner: OwnerDep, state: StateDep
) -> ShownRun:
    """Answer a question; the reply has what the run asks next.

    The same answer again gives the same reply. Another one later is 409, with the accepted one in ``facts``; one that
    does not fit is 422, and the question stays open.
    """
    view = await state.engine.respond(run_id, interaction_id, body.response, owner_id=owner)
    return await shown_run(view, state.stores.events)
