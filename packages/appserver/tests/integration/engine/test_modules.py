"""Shipped modules in runs over HTTP: what they keep is read again, and what people answer is theirs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

Start = Callable[..., Awaitable[dict[str, Any]]]


def workflow(*modules: dict[str, Any], output: dict[str, Any]) -> dict[str, Any]:
    step = {"id": "work", "title": "Work", "modules": list(modules)}
    return {"format": 1, "name": "modules", "title": "Modules", "steps": [step], "output": output}


def module(id_: str, type_: str, **inputs: Any) -> dict[str, Any]:
    return {"id": id_, "type": f"{type_}@1", "in": inputs}


async def answer(client: httpx2.AsyncClient, run: dict[str, Any], response: dict[str, Any]) -> httpx2.Response:
    address = f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}/answer"
    return await client.post(address, json={"response": response})


async def test_kept_values_are_read_again(start: Start) -> None:
    run = await start(
        definition=workflow(
            module(
                "made",
                "transform.reshape",
                source=["a", "b"],
                template={"$each": "source", "in": {"t": {"$get": "item"}}},
            ),
            module(
                "text",
                "io.render_template",
                template="{% for x in list %}{{ x.t }};{% endfor %}",
                values={"list": "{{ modules.made.result }}"},
            ),
            module("save", "io.save", name="list.json", content={"text": "{{ modules.text.rendered }}"}),
            module("load", "io.load", name="list.json"),
            module("grow", "io.weighted_keywords", mode="save", keywords={"sea": 2.0, "crab": 1.0}),
            module("read", "io.weighted_keywords", mode="load"),
            module("rows", "db.query", name="recent_runs", arguments={"limit": 5}),
            output={
                "file": "{{ modules.load.content }}",
                "words": "{{ modules.read.keywords }}",
                "runs": "{{ modules.rows.count }}",
            },
        )
    )

    assert run["status"] == "completed", run
    assert run["output"]["file"] == {"text": "a;b;"}
    assert [one["keyword"] for one in run["output"]["words"]] == ["sea", "crab"]
    assert run["output"]["runs"] >= 0


async def test_unknown_query_fails_with_its_reason(start: Start) -> None:
    run = await start(definition=workflow(module("rows", "db.query", name="no_such", arguments={}), output={}))

    assert run["status"] == "error"
    assert "recent_contents" in str(run)


async def test_select_notes_what_was_picked(client: httpx2.AsyncClient, start: Start) -> None:
    definition = workflow(
        module("pick", "user.select", title="Which?", items=["ink", "oil"], remember=True),
        output={"style": "{{ modules.pick.first }}"},
    )
    first = await start(definition=definition, project="one")
    done = await answer(client, first, {"selected": [1]})
    second = await start(template_id=first["template_id"], project="two")

    assert first["question"]["data"]["recent"] == []
    assert done.json()["output"] == {"style": "oil"}
    assert second["question"]["data"]["recent"] == ["oil"]


async def test_file_of_somebody_else_is_asked_for_again(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start(definition=workflow(module("file", "user.file_input", title="A picture"), output={}))

    path = await answer(client, run, {"content_id": "/etc/passwd"})
    foreign = (await answer(client, run, {"content_id": "gc_" + "a" * 32})).json()

    assert path.status_code == 422
    assert foreign["status"] == "awaiting_input"
    assert foreign["question"]["interaction_id"] != run["question"]["interaction_id"]
    assert "no such file" in foreign["question"]["message"]


async def test_choice_outside_of_group_limits_stays_open(client: httpx2.AsyncClient, start: Start) -> None:
    groups = [{"title": "Light", "items": ["day", "night"], "max": 1}, {"title": "Place", "items": ["sea"]}]
    run = await start(
        definition=workflow(
            module("pick", "user.select", title="Which?", groups=groups, max=3),
            output={"n": "{{ modules.pick.indices }}"},
        )
    )

    both = await answer(client, run, {"selected": [0, 1]})
    one = await answer(client, run, {"selected": [1, 2]})

    assert both.status_code == 422
    assert "Light" in both.text
    assert one.json()["output"] == {"n": [1, 2]}
