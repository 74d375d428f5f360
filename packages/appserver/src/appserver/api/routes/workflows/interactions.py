"""Routes of questions: the inbox, one question, and its answer."""

from __future__ import annotations

from appserver.api.dependencies import JsonDep
from appserver.api.run_views import shown_run
from appserver.api.schemas.interactions import AnswerRequest, InteractionView
from appserver.api.schemas.runs import ShownRun
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.routing import Router

router = Router(prefix="/api", tags=["interactions"])


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
