"""The pages, as they come from the host; what scripts do with them is tested in a browser elsewhere."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from appdb import Database, Lease, NewEvent, Progress, Task, TaskEventType, TaskQueue
from appdb.models import Content, ContentKind

Claim = Callable[[], Awaitable[tuple[Task, Lease]]]
Store = Callable[..., Awaitable[Content]]
Serve = Callable[..., Awaitable[str]]

SCRIPT = {"script": "The <b>lamp</b>.\r\n\r\nThe sea.", "title": "Keeper & sons", "voice": "de"}


async def generate(visitor: httpx2.AsyncClient) -> str:
    answer = await visitor.post("/generate", data=SCRIPT)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_start_page_works_for_stranger_without_trace(visitor: httpx2.AsyncClient) -> None:
    answer = await visitor.get("/")

    assert answer.status_code == 200
    assert '<label for="script">Script</label>' in answer.text
    assert "No worker has announced itself" not in answer.text
    assert "no AI model" in answer.text
    assert "set-cookie" not in answer.headers


async def test_pages_have_no_external_or_inline_code(visitor: httpx2.AsyncClient) -> None:
    place = await generate(visitor)

    for page in ("/", place):
        text = (await visitor.get(page)).text
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=|https?://", text)
        for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
            assert (await visitor.get(path)).status_code == 200


@pytest.mark.parametrize("schema", [{"properties": {"script": True}}, {"properties": []}, {}])
async def test_start_page_survives_any_announced_schema(
    visitor: httpx2.AsyncClient, database: Database, schema: dict[str, Any]
) -> None:
    changed = await database.collection("actors").update_one({"_id": "media"}, {"$set": {"payload_schema": schema}})

    answer = await visitor.get("/")

    assert (changed.modified_count, answer.status_code) == (1, 200)


async def test_newer_releases_state_is_shown_by_name(visitor: httpx2.AsyncClient, database: Database) -> None:
    place = await generate(visitor)
    newer = {"$set": {"state": "on_hold"}}
    changed = await database.collection("tasks").update_one({"_id": place.removeprefix("/tasks/")}, newer)

    answer = await visitor.get(place)

    assert (changed.modified_count, answer.status_code) == (1, 200)
    assert ">On hold</p>" in answer.text


async def test_page_without_worker_tells_what_to_start(serve: Serve) -> None:
    async with httpx2.AsyncClient(base_url=await serve()) as visitor:
        answer = await visitor.get("/")

    assert answer.status_code == 200
    assert "No worker has announced itself yet" in answer.text


async def test_script_is_kept_without_worker(serve: Serve) -> None:
    address = await serve()
    async with httpx2.AsyncClient(base_url=address, headers={"Origin": address}) as visitor:
        answer = await visitor.post("/generate", data=SCRIPT)

    assert answer.status_code == 422
    assert "&lt;b&gt;lamp&lt;/b&gt;" in answer.text


async def test_form_makes_task_and_leads_to_page(visitor: httpx2.AsyncClient) -> None:
    place = await generate(visitor)

    page = await visitor.get(place)
    home = await visitor.get("/")

    assert page.status_code == 200
    assert '<h1 dir="auto">Keeper &amp; sons</h1>' in page.text
    assert "In the queue" in page.text
    assert 'data-seq="-1"' in page.text
    assert f'href="{place}"' in home.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"script": ""}, "Script: it is empty"),
        ({"script": " \r\n "}, "Script: it is empty"),
        ({"script": "x" * 20_001}, "Script: it has 20,001 characters; at most 20,000 are allowed"),
        ({"title": "x" * 121}, "Title: it has 121 characters; at most 120 are allowed"),
        ({"voice": "x"}, "Voice: it has 1 characters; at least 2 are needed"),
    ],
)
async def test_invalid_field_is_told_beside_it(
    visitor: httpx2.AsyncClient, changes: dict[str, str], message: str
) -> None:
    form = SCRIPT | changes

    answer = await visitor.post("/generate", data=form)

    assert answer.status_code == 422
    assert message in answer.text
    assert form["script"].replace("<", "&lt;").replace(">", "&gt;") in answer.text
    assert 'aria-invalid="true"' in answer.text


async def test_far_too_large_script_is_problem(visitor: httpx2.AsyncClient) -> None:
    answer = await visitor.post("/generate", data=SCRIPT | {"script": "x" * 2_000_000})

    assert answer.status_code == 413


async def test_page_shows_what_is_there(
    visitor: httpx2.AsyncClient, claim: Claim, store: Store, queue: TaskQueue
) -> None:
    place = await generate(visitor)
    task, lease = await claim()
    picture = await store(task, caption="The <b>lamp</b>.")
    progress = Progress(fraction=0.42, message="Scene 1 of 2: speaking")
    event = NewEvent(type=TaskEventType.PROGRESS, data=progress.model_dump())
    await queue.append_events(lease, [event], seq=1)

    text = (await visitor.get(place)).text

    assert 'data-seq="1"' in text
    assert '<progress id="progress" max="100" value="42"' in text
    assert "Scene 1 of 2: speaking" in text
    assert f'src="/api/contents/{picture.id}/file/{picture.sha256}"' in text
    assert "The &lt;b&gt;lamp&lt;/b&gt;." in text
    assert "<title>42 % · Keeper &amp; sons</title>" in text


async def test_page_of_finished_task_plays_video(
    visitor: httpx2.AsyncClient, claim: Claim, store: Store, queue: TaskQueue
) -> None:
    place = await generate(visitor)
    task, lease = await claim()
    picture = await store(task)
    video = await store(
        task, seq=1, key="video", role="video", kind=ContentKind.VIDEO, media_type="video/mp4", index=None, caption=None
    )
    await queue.complete(lease, {})

    text = (await visitor.get(place)).text

    poster, source = (f"/api/contents/{made.id}/file/{made.sha256}" for made in (picture, video))
    assert f'poster="{poster}" src="{source}"' in text
    assert 'class="state completed"' in text


async def test_page_of_failed_task_tells_why(visitor: httpx2.AsyncClient, claim: Claim, queue: TaskQueue) -> None:
    place = await generate(visitor)
    _, lease = await claim()
    await queue.fail(lease, "Discarded", "script: <no> visible text", retry_in=None)

    text = (await visitor.get(place)).text

    assert "script: &lt;no&gt; visible text" in text
    assert "Change the script and try again" in text


async def test_page_of_retrying_task_tells_so(visitor: httpx2.AsyncClient, claim: Claim, queue: TaskQueue) -> None:
    place = await generate(visitor)
    _, lease = await claim()
    await queue.fail(lease, "RetryLater", "the voice is missing", retry_in=timedelta(minutes=1))

    text = (await visitor.get(place)).text

    assert "Waiting to try again" in text
    assert "the voice is missing" in text


async def test_new_attempt_hides_earlier_error(visitor: httpx2.AsyncClient, claim: Claim, queue: TaskQueue) -> None:
    place = await generate(visitor)
    _, lease = await claim()
    await queue.fail(lease, "RetryLater", "the voice is missing", retry_in=timedelta(0))
    await queue.promote()
    await claim()

    text = (await visitor.get(place)).text

    assert ">Running, attempt 2</p>" in text
    assert "the voice is missing" not in text


async def test_form_cancels_task_even_too_late(visitor: httpx2.AsyncClient, claim: Claim, queue: TaskQueue) -> None:
    cancelled, finished = await generate(visitor), await generate(visitor)
    await visitor.post(f"{cancelled}/cancel")
    _, lease = await claim()
    await queue.complete(lease, {})

    late = await visitor.post(f"{finished}/cancel")

    assert "Cancelled" in (await visitor.get(cancelled)).text
    assert (late.status_code, late.headers["location"]) == (303, finished)


async def test_problems_of_pages_are_pages(visitor: httpx2.AsyncClient) -> None:
    unknown = await visitor.get("/tasks/tq_x")
    await generate(visitor)
    missing = await visitor.get("/tasks/tq_x")

    for answer, status in ((unknown, 401), (missing, 404)):
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert 'href="/"' in answer.text


async def test_script_can_be_changed_and_tried_again(visitor: httpx2.AsyncClient) -> None:
    place = await generate(visitor)

    text = (await visitor.get("/", params={"again": place.removeprefix("/tasks/")})).text

    assert "The &lt;b&gt;lamp&lt;/b&gt;." in text
    assert 'value="Keeper &amp; sons"' in text
    assert '<option value="de" selected>' in text
    assert (await visitor.get("/", params={"again": "tq_x"})).status_code == 404
