"""Links to questions, and drafts of answers."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from appdb import (
    AnswerRepository,
    ConflictError,
    Database,
    InvalidDataError,
    NotFoundError,
    TooLargeError,
    WorkflowRepository,
)
from appdb.models import NewRun

OWNER = "usr_a"
DAY = timedelta(days=1)


@pytest.fixture
async def run_id(database: Database) -> str:
    run, _ = await WorkflowRepository(database).open(NewRun(project="p"), owner_id=OWNER)
    return run.id


async def test_token_finds_link_and_is_not_stored(database: Database, run_id: str) -> None:
    answers = AnswerRepository(database)

    token, link = await answers.create_link(run_id, "ask_1", owner_id=OWNER, expires_in=DAY)
    stored = await database.collection("answer_links").find_one({})

    assert await answers.find_link(token) == link
    assert (link.run_id, link.interaction_id, link.expires_at - link.created_at) == (run_id, "ask_1", DAY)
    assert token not in str(stored)
    assert len(token) >= 43


async def test_expired_or_unknown_token_finds_nothing(database: Database, run_id: str) -> None:
    answers = AnswerRepository(database)
    token, _ = await answers.create_link(run_id, "ask_1", owner_id=OWNER, expires_in=timedelta(milliseconds=1))

    for one in (token, "nope", "\ud800", ""):
        with pytest.raises(NotFoundError):
            await answers.find_link(one)


async def test_links_of_question_are_bounded_and_revoked(database: Database, run_id: str) -> None:
    answers = AnswerRepository(database)
    for _ in range(20):
        token, _ = await answers.create_link(run_id, "ask_1", owner_id=OWNER, expires_in=DAY)

    with pytest.raises(ConflictError, match="20 links"):
        await answers.create_link(run_id, "ask_1", owner_id=OWNER, expires_in=DAY)
    assert await answers.revoke_links(run_id, "ask_1", owner_id=OWNER) == 20
    with pytest.raises(NotFoundError):
        await answers.find_link(token)


async def test_links_that_are_made_at_once_are_bounded_too(database: Database, run_id: str) -> None:
    answers = AnswerRepository(database)
    made = await asyncio.gather(
        *(answers.create_link(run_id, "ask_1", owner_id=OWNER, expires_in=DAY) for _ in range(30)),
        return_exceptions=True,
    )

    refused = [one for one in made if isinstance(one, BaseException)]
    assert [type(one) for one in refused] == [ConflictError] * 10
    assert await answers.revoke_links(run_id, "ask_1", owner_id=OWNER) == 20


async def test_draft_is_replaced_found_and_deleted(database: Database, run_id: str) -> None:
    answers = AnswerRepository(database)
    await answers.put_draft(run_id, "ask_1", {"text": "a"}, owner_id=OWNER)

    await answers.put_draft(run_id, "ask_1", {"text": "ab"}, owner_id=OWNER)
    found = await answers.find_draft(run_id, "ask_1", owner_id=OWNER)

    assert found is not None
    assert found.value == {"text": "ab"}
    assert await answers.delete_draft(run_id, "ask_1", owner_id=OWNER)
    assert await answers.find_draft(run_id, "ask_1", owner_id=OWNER) is None
    with pytest.raises(TooLargeError):
        await answers.put_draft(run_id, "ask_1", "x" * 70_000, owner_id=OWNER)


async def test_drafts_of_many_owners_are_deleted_at_once(database: Database, run_id: str) -> None:
    answers = AnswerRepository(database)
    theirs, _ = await WorkflowRepository(database).open(NewRun(project="p"), owner_id="usr_b")
    for question in ("ask_1", "ask_2"):
        await answers.put_draft(run_id, question, question, owner_id=OWNER)
    await answers.put_draft(theirs.id, "ask_1", "theirs", owner_id="usr_b")

    gone = [(OWNER, run_id, "ask_1"), ("usr_b", theirs.id, "ask_1"), (OWNER, theirs.id, "ask_1"), (OWNER, "wf_x", "no")]

    assert await answers.delete_drafts(gone) == 2
    assert await answers.delete_drafts(gone) == 0
    assert await answers.find_draft(run_id, "ask_1", owner_id=OWNER) is None
    assert await answers.find_draft(run_id, "ask_2", owner_id=OWNER) is not None
    with pytest.raises(InvalidDataError, match="at most 500"):
        await answers.delete_drafts([(OWNER, run_id, str(number)) for number in range(501)])


async def test_links_and_drafts_go_with_run(database: Database, run_id: str) -> None:
    answers = AnswerRepository(database)
    token, _ = await answers.create_link(run_id, "ask_1", owner_id=OWNER, expires_in=DAY)
    await answers.put_draft(run_id, "ask_1", {"text": "a"}, owner_id=OWNER)

    await WorkflowRepository(database).delete(run_id, owner_id=OWNER)

    with pytest.raises(NotFoundError):
        await answers.find_link(token)
    assert await answers.find_draft(run_id, "ask_1", owner_id=OWNER) is None
    with pytest.raises(NotFoundError):
        await answers.put_draft(run_id, "ask_1", {}, owner_id=OWNER)
