"""Definitions over HTTP: what is wrong is told whole, and nothing of it is stored."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

HEADERS = {"Content-Type": "application/json"}
MODULE = "/steps/0/modules/0"


def workflow(*modules: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"name": "bad", "steps": [{"id": "talk", "modules": list(modules)}], **changes}


def text(name: str = "topic", **inputs: Any) -> dict[str, Any]:
    return {"id": name, "type": "user.text_input@1", "in": {"title": "What?", **inputs}}


TEMPLATE = {"id": "t", "type": "io.render_template@1", "in": {"template": "{% for x in %}"}}
BAD: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    (workflow(text(), name="$where"), {("/name", "bad_form")}),
    (workflow(text(title="{{ modules.mood.value }}")), {(f"{MODULE}/in/title", "dangling")}),
    (
        workflow(text(title="{{ ../../etc/passwd }}", show="{{ 7 * 7 }}")),
        {(f"{MODULE}/in/title", "bad_path"), (f"{MODULE}/in/show", "bad_path")},
    ),
    (workflow(text(), text()), {("/steps/0/modules/1/id", "repeated_id")}),
    (
        workflow(text(expires_seconds="soon", titel="x")),
        {(f"{MODULE}/in/expires_seconds", "wrong_type"), (f"{MODULE}/in/titel", "unknown_field")},
    ),
    (workflow(*[text(f"m{number}") for number in range(201)]), {("/steps", "too_many")}),
    (workflow(text(show=[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]])), {(f"{MODULE}/in/show/0", "too_deep")}),
    (workflow({**text(), "when": {"path": "input.x", "op": "$gt"}}), {(f"{MODULE}/when/op", "bad_value")}),
    (workflow(text(), input={"$ref": "file:///etc/passwd"}), {("/input/$ref", "bad_schema")}),
    (workflow(TEMPLATE), {(f"{MODULE}/in/template", "bad_value")}),
]


@pytest.mark.parametrize(("definition", "problems"), BAD)
async def test_bad_definition_is_refused_whole(
    client: httpx2.AsyncClient, definition: dict[str, Any], problems: set[tuple[str, str]]
) -> None:
    checked = await client.post("/api/workflows/check", json={"definition": definition})
    saved = await client.post("/api/workflows", json={"definition": definition})
    started = await client.post("/api/runs", json={"definition": definition, "project": "p"})

    assert (checked.status_code, checked.json()["valid"]) == (200, False)
    assert {(each["pointer"], each["code"]) for each in checked.json()["problems"]} == problems
    assert (saved.status_code, started.status_code) == (422, 422)
    assert saved.json()["facts"]["problems"] == checked.json()["problems"]
    assert {each["field"] for each in saved.json()["errors"]} == {f"/definition{pointer}" for pointer, _ in problems}
    assert all(each["shared"] for each in (await client.get("/api/workflows")).json()["items"])


async def test_key_that_stands_twice_is_refused(client: httpx2.AsyncClient) -> None:
    written = json.dumps({"definition": workflow(text())}).replace('"id": "topic"', '"id": "mood", "id": "topic"')

    for address in ("/api/workflows/check", "/api/workflows", "/api/runs"):
        answer = await client.post(address, content=written, headers=HEADERS)

        assert answer.status_code == 422
        (problem,) = answer.json()["facts"]["problems"]
        assert (problem["pointer"], problem["code"]) == (f"{MODULE}/id", "repeated_key")


async def test_hostile_text_comes_back_as_it_was(client: httpx2.AsyncClient) -> None:
    shown = {"$where": "sleep(1)", "a.b": {"": "\\{{ x }}"}, "ref": {"$ref": "#/x", "$id": "y"}, "$$NOW": "$$NOW"}
    definition = workflow(text(show=shown), name="hostile")

    saved = await client.post("/api/workflows", json={"definition": definition})

    assert saved.status_code == 201
    version = saved.json()["version"]["id"]
    assert (await client.get(f"/api/workflows/versions/{version}")).json()["definition"] == definition
