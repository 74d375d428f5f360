"""Routes of answers before they are given: drafts, and links by which somebody else may answer."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import Header

from appserver.api.dependencies import JsonDep
from appserver.api.schemas.interactions import (
    AnswerRequest,
    DraftRequest,
    DraftView,
    LinkedQuestionView,
    LinkRequest,
    LinkView,
    TakenView,
)
from appserver.http.callers import OwnerDep, StateDep
from appserver.http.routing import Router

router = Router(prefix="/api", tags=["interactions"])
QUESTION = "/runs/{run_id}/interactions/{interaction_id}"
# In a header: addresses stand in logs, in histories and in what browsers tell other sites.
Token = Annotated[str, Header(alias="Answer-Token", min_length=1, max_length=200)]


@router.get(f"{QUESTION}/draft")
async def get_draft(run_id: str, interaction_id: str, owner: OwnerDep, state: StateDep) -> DraftView:
    """Return what the caller has begun to answer."""
    await state.stores.runs.get(run_id, owner_id=owner)
    return DraftView.of(await state.stores.answers.find_draft(run_id, interaction_id, owner_id=owner))


@router.put(f"{QUESTION}/draft")
async def put_draft(
    run_id: str, interaction_id: str, body: DraftRequest, _json: JsonDep, owner: OwnerDep, state: StateDep
) -> DraftView:
    """Keep what the caller has begun to answer, beside the run; at most 64 KiB, until an answer or for 90 days."""
    kept = await state.stores.answers.put_draft(run_id, interaction_id, body.value, owner_id=owner)
    return DraftView.of(kept)


@router.delete(f"{QUESTION}/draft", status_code=HTTPStatus.NO_CONTENT)
async def delete_draft(run_id: str, interaction_id: str, owner: OwnerDep, state: StateDep) -> None:
    """Forget what the caller has begun to answer."""
    await state.stores.runs.get(run_id, owner_id=owner)
    await state.stores.answers.delete_draft(run_id, interaction_id, owner_id=owner)


@router.post(f"{QUESTION}/links", status_code=HTTPStatus.CREATED)
async def create_link(
    run_id: str, interaction_id: str, body: LinkRequest, _json: JsonDep, owner: OwnerDep, state: StateDep
) -> LinkView:
    """Make a link by which whoever has its token may answer this question; at most 20 live at a time."""
    token, link = await state.engine.links.create(
        run_id, interaction_id, owner_id=owner, expires_in=timedelta(seconds=body.expires_seconds)
    )
    return LinkView(token=token, expires_at=link.expires_at)


@router.delete(f"{QUESTION}/links", status_code=HTTPStatus.NO_CONTENT)
async def revoke_links(run_id: str, interaction_id: str, owner: OwnerDep, state: StateDep) -> None:
    """Revoke all links to a question."""
    await state.stores.runs.get(run_id, owner_id=owner)
    await state.stores.answers.revoke_links(run_id, interaction_id, owner_id=owner)


@router.get("/answers")
async def show_linked_question(token: Token, state: StateDep) -> LinkedQuestionView:
    """Return the question that the token of a link leads to; it needs no key."""
    return LinkedQuestionView.of(await state.engine.links.question(token))


@router.post("/answers")
async def answer_by_link(body: AnswerRequest, _json: JsonDep, token: Token, state: StateDep) -> TakenView:
    """Answer the question that the token of a link leads to; it needs no key, and tells nothing of what follows."""
    await state.engine.links.answer(token, body.response)
    return TakenView()
