"""Scenarios of ``AnswerRepository``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from appdb import AnswerRepository
from appdb._driver import RawDocument
from appdb.models import AnswerDraft
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text, hostile_json, told
from appsupport.scenarios.staged_runs import opened

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ASKED = "ask_1"
DAY = timedelta(days=1)


async def linked(stage: Stage) -> str:
    """Make a link and a draft for a question of a run, and return the run's id."""
    run_id, answers = await opened(stage), AnswerRepository(stage.database)
    await answers.create_link(run_id, ASKED, owner_id=stage.owner, expires_in=DAY)
    await answers.put_draft(run_id, ASKED, {"text": "a"}, owner_id=stage.owner)
    return run_id


async def _create(answers: AnswerRepository, run_id: str, owner_id: str) -> str:
    return (await answers.create_link(run_id, ASKED, owner_id=owner_id, expires_in=DAY))[1].run_id


async def _put(answers: AnswerRepository, run_id: str, owner_id: str) -> AnswerDraft:
    return await answers.put_draft(run_id, ASKED, {"text": "b"}, owner_id=owner_id)


async def _find(answers: AnswerRepository, run_id: str, owner_id: str) -> str:
    token, _ = await answers.create_link(run_id, ASKED, owner_id=owner_id, expires_in=DAY)
    return (await answers.find_link(token)).run_id


async def _draft_text(stage: Stage, text: str) -> Mapping[str, object]:
    answers, run_id = AnswerRepository(stage.database), await opened(stage)
    await answers.put_draft(run_id, text, hostile_json(text), owner_id=stage.owner)
    draft = await answers.find_draft(run_id, text, owner_id=stage.owner)
    assert draft is not None
    return {"interaction_id": draft.interaction_id, "value": told(text, draft.value)}


def _link(number: int) -> RawDocument:
    base = {"_id": f"lnk_{number:064x}", "owner_id": f"usr_{number % 2_000:032x}", "run_id": f"wf_{number:032x}"}
    return base | {"interaction_id": ASKED, "created_at": LONG_AGO, "expires_at": datetime(2999, 1, 1, tzinfo=UTC)}


def _draft(number: int) -> RawDocument:
    base = {"_id": f"dft_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "run_id": f"wf_{number:032x}"}
    return base | {"interaction_id": ASKED, "value": {}, "updated_at": datetime.now(UTC)}


SCENES = Scenes(
    subject=AnswerRepository,
    scenarios=(
        Scenario(method="AnswerRepository.create_link", prepare=opened, call=_create),
        Scenario(method="AnswerRepository.find_link", prepare=opened, call=_find),
        Scenario(
            method="AnswerRepository.revoke_links",
            prepare=linked,
            call=lambda answers, made, owner_id: answers.revoke_links(made, ASKED, owner_id=owner_id),
        ),
        Scenario(method="AnswerRepository.put_draft", prepare=linked, call=_put),
        Scenario(
            method="AnswerRepository.find_draft",
            prepare=linked,
            call=lambda answers, made, owner_id: answers.find_draft(made, ASKED, owner_id=owner_id),
        ),
        Scenario(
            method="AnswerRepository.delete_draft",
            prepare=linked,
            call=lambda answers, made, owner_id: answers.delete_draft(made, ASKED, owner_id=owner_id),
        ),
        Scenario(
            method="AnswerRepository.delete_drafts",
            prepare=linked,
            call=lambda answers, made, owner_id: answers.delete_drafts([(owner_id, made, ASKED)]),
        ),
    ),
    texts=(Text(method="AnswerRepository.put_draft", fields=("interaction_id", "value"), store=_draft_text),),
    plain=frozenset({"owner_id", "run_id", "token", "interaction_id", "drafts"}),
    crowds={"answer_links": _link, "answer_drafts": _draft},
)
