"""HTTP rules of a host: methods, media types, cursors, pages for people, OpenAPI, other sites, proxies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib.resources import files
from typing import Any

import httpx2
import pytest

from appdb import Database, FileRepository, Lease, RunListRepository, Task
from appdb.models import Content, FileCategory, NewFile, RunFilter
from appserver import create_app
from appserver.errors import ServerSettingsError
from appserver.settings import load_settings

LAST_ID = "Last-Event-ID"
PROBLEM = "application/problem+json"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PER_REQUEST = {"x-request-id", "date", "content-length", "transfer-encoding"}

Submit = Callable[..., Awaitable[dict[str, Any]]]
Claim = Callable[[], Awaitable[tuple[Task, Lease]]]
Store = Callable[..., Awaitable[Content]]
Serve = Callable[..., Awaitable[str]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]


def lasting(answer: httpx2.Response) -> dict[str, str]:
    """Return the headers that do not differ from request to request."""
    return {name: value for name, value in answer.headers.items() if name not in PER_REQUEST}


async def ids_of_run(client: httpx2.AsyncClient, database: Database) -> dict[str, str]:
    """Start a run that asks, give it a file, and cancel it; return the ids of what it has."""
    asks = {"id": "topic", "type": "user.text_input@1", "in": {"title": "What?"}}
    definition = {"format": 1, "name": "asks", "steps": [{"id": "talk", "modules": [asks]}]}
    run = (await client.post("/api/runs", json={"definition": definition})).json()
    (found,) = await RunListRepository(database).find_for_operators(RunFilter(owner_id=None, run_id=run["id"]))
    new = NewFile(run_id=run["id"], branch_id="", category=FileCategory.OUTPUTS, name="a.txt", content="a")
    file = await FileRepository(database).put(new, owner_id=found.owner_id)
    await client.post(f"/api/runs/{run['id']}/cancel")
    names = {"run_id": run["id"], "template_id": run["template_id"], "version_id": run["version_id"]}
    return names | {"file_id": file.id, "interaction_id": run["question"]["interaction_id"]}


async def test_head_answers_as_get_without_body(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, store: Store, database: Database
) -> None:
    task = await submit(client)
    content = await store((await claim())[0])
    of_run = await ids_of_run(client, database)
    await client.post(f"/api/tasks/{task['id']}/cancel")
    described: dict[str, Any] = (await client.get("/openapi.json")).json()["paths"]
    # Those that links lead to need a token, and not a key.
    paths = [path for path, operations in described.items() if "get" in operations and path != "/api/answers"]

    assert not any("head" in operations for operations in described.values())
    for path in [*paths, "/", "/tasks/{task_id}", "/docs", "/static/page.css"]:
        url = path.format(task_id=task["id"], content_id=content.id, sha256=content.sha256, **of_run)
        params = {"after": f"{task['id']}:-1"} if path == "/api/stream" else {}
        got, asked = await client.get(url, params=params), await client.head(url, params=params)
        assert (asked.status_code, asked.content) == (got.status_code, b""), path
        assert got.status_code == 200, path
        assert lasting(asked) == lasting(got), path


async def test_head_of_stream_opens_none(client: httpx2.AsyncClient, submit: Submit) -> None:
    task = await submit(client)

    answer = await client.head(f"/api/tasks/{task['id']}/stream", timeout=5)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_body_without_json_type_is_415(client: httpx2.AsyncClient, kind: str | None) -> None:
    body = b'{"actor":"free","payload":{}}'
    headers = {} if kind is None else {"Content-Type": kind}

    answer = await client.post("/api/tasks", content=body, headers=headers)

    assert (answer.status_code, answer.headers["content-type"]) == (415, PROBLEM)
    assert "Content-Type: application/json" in answer.json()["detail"]
    assert answer.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/a+json"]
)
async def test_body_with_json_type_is_taken(client: httpx2.AsyncClient, kind: str) -> None:
    answer = await client.post("/api/tasks", content=b'{"actor":"free","payload":{}}', headers={"Content-Type": kind})

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "value",
    ["[" * 5_000 + "]" * 5_000, "9" * 5_000, '"\x80"', "{"],
    ids=["nested too deeply", "too many digits", "not UTF-8", "cut off"],
)
async def test_unreadable_body_error_tells_reason(client: httpx2.AsyncClient, value: str) -> None:
    body = f'{{"actor":"free","payload":{{"a":{value}}}}}'.encode("latin-1")

    answer = await client.post("/api/tasks", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert [error["field"] for error in answer.json()["errors"]] == ["body"]
    assert "; send " in answer.json()["detail"]


@pytest.mark.parametrize("levels", [100, 500])
async def test_too_deep_nesting_is_named(client: httpx2.AsyncClient, levels: int) -> None:
    body = '{"actor":"free","payload":{"a":' + "[" * levels + "]" * levels + "}}"

    answer = await client.post("/api/tasks", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    message = "it is nested more than 64 levels deep"
    assert answer.json()["errors"] == [{"field": "payload.a.0", "message": message}]


async def test_file_in_text_field_gives_page(visitor: httpx2.AsyncClient) -> None:
    answer = await visitor.post("/generate", files={"script": ("script.txt", b"Hello.")}, headers=HTML)

    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/html; charset=utf-8")
    assert "script: Input should be a valid string" in answer.text


async def test_foreign_cursor_is_422_in_every_list(
    client: httpx2.AsyncClient, make_client: MakeClient, submit: Submit, claim: Claim, store: Store
) -> None:
    task = await submit(client)
    content = await store((await claim())[0])
    stranger = await make_client()

    for path, theirs in [("/api/tasks", task["id"]), ("/api/contents", content.id)]:
        for before in ("nope", theirs):
            answer = await stranger.get(path, params={"before": before})
            assert answer.status_code == 422, path
            assert [error["field"] for error in answer.json()["errors"]] == ["before"]
            assert "begin again" in answer.json()["detail"]
    for after in ("nope", f"{task['id']}:99"):
        named = await client.get("/api/stream", params={"after": after})
        came_back = await client.get(f"/api/stream?after={task['id']}:-1", headers={LAST_ID: after})
        for answer, field in [(named, "after"), (came_back, LAST_ID)]:
            assert answer.status_code == 422
            assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await client.get(f"/api/tasks/{task['id']}/stream?after=nope")).status_code == 422


async def test_list_omits_inputs_and_results(client: httpx2.AsyncClient, submit: Submit) -> None:
    for _ in range(6):
        await submit(client, script="x" * 20_000)

    answer = await client.get("/api/tasks")

    assert len(answer.content) < 6 * 1_000
    assert all({"payload", "result"}.isdisjoint(item) for item in answer.json()["items"])
    assert (await client.get(f"/api/tasks/{answer.json()['items'][0]['id']}")).json()["payload"][
        "script"
    ] == "x" * 20_000


@pytest.mark.parametrize("path", ["/nope", "/api/nope", "/tasks/x/nope"])
async def test_unknown_address_is_page_or_problem(visitor: httpx2.AsyncClient, path: str) -> None:
    page, problem = await visitor.get(path, headers=HTML), await visitor.get(path)

    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no page at this address." in page.text
    assert (problem.status_code, problem.headers["content-type"]) == (404, PROBLEM)


async def test_openapi_tells_how_to_sign_in(client: httpx2.AsyncClient) -> None:
    description = (await client.get("/openapi.json")).json()

    schemes = description["components"]["securitySchemes"]
    assert schemes["key"] | {"description": ""} == {"type": "http", "scheme": "bearer", "description": ""}
    assert (schemes["cookie"]["in"], schemes["cookie"]["name"]) == ("cookie", "app_key")
    open_to_all = {
        "/api/guests",
        "/api/actors",
        "/api/workflows/schema",
        "/api/answers",
        "/healthz/live",
        "/healthz/ready",
    }
    for path, operations in description["paths"].items():
        for operation in operations.values():
            declared = operation.get("security", [])
            assert declared == ([] if path in open_to_all else [{"key": []}, {"cookie": []}]), path


def test_openapi_is_made_without_warning(recwarn: pytest.WarningsRecorder) -> None:
    create_app(load_settings()).openapi()

    assert not recwarn.list


async def test_openapi_page_needs_nothing_external(visitor: httpx2.AsyncClient) -> None:
    page = await visitor.get("/docs")

    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    # Without a rule of their own, scripts come from this host alone, and none is in the page.
    assert policy.startswith("default-src 'self';")
    assert "http" not in policy
    assert "script-src" not in policy
    assert not re.search(r"<script[^>]*>[^<]", page.text)
    needed = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert needed
    for url in needed:
        assert url.startswith("/static/")
        assert (await visitor.get(url)).status_code == 200


def test_vendored_files_are_published_ones() -> None:
    folder = files("appserver.web") / "static" / "swagger-ui"
    listed = re.findall(r"^([0-9a-f]{64})  (\S+)$", (folder / "VENDORED.txt").read_text(), re.MULTILINE)

    assert {name for _, name in listed} | {"VENDORED.txt"} == {entry.name for entry in folder.iterdir()}
    for digest, name in listed:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


async def test_cors_follows_operators_setting(serve: Serve, announced: None) -> None:  # noqa: ARG001
    origin = "https://app.example"
    asking = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
    }
    async with httpx2.AsyncClient(base_url=await serve(cors_origins=f"{origin}, https://b.example")) as client:
        asked = await client.options("/api/tasks", headers=asking)
        made = await client.post("/api/guests", headers={"Origin": origin})
        stranger = await client.options("/api/tasks", headers=asking | {"Origin": "https://evil.example"})
    async with httpx2.AsyncClient(base_url=await serve()) as client:
        closed = await client.post("/api/guests", headers={"Origin": origin})

    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (200, origin)
    assert made.headers["access-control-allow-origin"] == origin
    assert "Location" in made.headers["access-control-expose-headers"]
    # Keys only: a browser sends this site's cookie to nobody else's page.
    assert "access-control-allow-credentials" not in asked.headers
    assert "access-control-allow-origin" not in stranger.headers
    assert "access-control-allow-origin" not in closed.headers


@pytest.mark.parametrize("origin", ["*", "app.example", "https://app.example/", "https://*.example"])
def test_invalid_origin_is_refused(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("APPSERVER_CORS_ORIGINS", origin)

    with pytest.raises(ServerSettingsError, match="APPSERVER_CORS_ORIGINS"):
        load_settings()


async def test_refused_method_hears_of_all_that_address_answers(client: httpx2.AsyncClient, address: str) -> None:
    allowed = {
        "/api/runs": "GET, HEAD, POST",
        "/api/runs/wf_1": "GET, HEAD, DELETE",
        "/api/runs/wf_1/interactions/int_1/draft": "GET, HEAD, PUT, DELETE",
        "/api/runs/wf_1/cancel": "POST",
        "/runs": "GET, HEAD, POST",
        "/static/page.css": "GET, HEAD",
    }
    for accepted in ("application/json", "text/html"):
        answers = [await client.patch(f"{address}{path}", headers={"Accept": accepted}) for path in allowed]
        assert [(answer.status_code, answer.headers["allow"]) for answer in answers] == [
            (405, methods) for methods in allowed.values()
        ]


async def test_guests_of_one_address_are_limited_hourly(serve: Serve) -> None:
    async with httpx2.AsyncClient(base_url=await serve(guests_per_hour=3)) as visitor:
        answers = [await visitor.post("/api/guests") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [201, 201, 201, 429, 429]
    assert 1 < int(answers[-1].headers["retry-after"]) <= 1_201
    assert "keep the key" in answers[-1].json()["detail"]


async def test_all_guests_are_limited_daily_despite_restart(serve: Serve, database: Database) -> None:
    async with httpx2.AsyncClient(base_url=await serve(guests_per_day=2)) as visitor:
        first = [(await visitor.post("/api/guests")).status_code for _ in range(3)]
    async with httpx2.AsyncClient(
        base_url=await serve(guests_per_day=2), headers={"Sec-Fetch-Site": "same-origin"}
    ) as visitor:
        page = await visitor.post("/generate", data={"script": "One."}, headers=HTML)

    assert first == [201, 201, 429]
    assert (page.status_code, page.headers["content-type"]) == (429, "text/html; charset=utf-8")
    assert await database.collection("users").count_documents({}) == 2


async def test_unattended_task_tells_since_when(client: httpx2.AsyncClient, submit: Submit, database: Database) -> None:
    task = await submit(client)
    attended = (await client.get(f"/api/tasks/{task['id']}")).json()
    for name in ("workers", "actors"):
        await database.collection(name).update_many(
            {}, [{"$set": {"seen_at": {"$subtract": ["$seen_at", timedelta(minutes=5).total_seconds() * 1000]}}}]
        )
    seen = (await database.collection("actors").find_one({"_id": "media"}) or {})["seen_at"].isoformat()

    shown = (await client.get(f"/api/tasks/{task['id']}")).json()
    listed = (await client.get("/api/tasks")).json()["items"][0]
    made = await submit(client)
    ready = await client.get("/healthz/ready")
    cancelled = (await client.post(f"/api/tasks/{task['id']}/cancel")).json()

    assert task["unattended"] is attended["unattended"] is None
    for view in (shown, listed, made):
        assert view["unattended"]["since"].replace("Z", "+00:00") == seen
    assert (ready.status_code, ready.json()["workers"]) == (200, 0)
    assert ready.json()["worker_seen_at"].replace("Z", "+00:00") >= seen
    assert cancelled["unattended"] is None
