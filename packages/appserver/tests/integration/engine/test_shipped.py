"""Shipped workflows are everybody's from a host's start on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx2
import pytest

from appserver.engine.definition.shipped import shipped_workflows

Serve = Callable[..., Awaitable[str]]


async def listed(client: httpx2.AsyncClient) -> dict[str, str]:
    items = (await client.get("/api/workflows")).json()["items"]
    return {item["name"]: item["id"] for item in items}


async def test_hosts_offer_shipped_workflows_once(client: httpx2.AsyncClient, serve: Serve) -> None:
    first = await listed(client)

    await serve()

    assert first.keys() == shipped_workflows().keys()
    assert await listed(client) == first


@pytest.mark.parametrize("name", ["narrated_video", "picture_variations"])
async def test_shipped_workflow_asks_at_once(client: httpx2.AsyncClient, name: str) -> None:
    started = await client.post("/api/runs", json={"template_id": (await listed(client))[name]})

    assert started.status_code == 201, started.text
    assert started.json()["question"]["kind"] == "form"


async def test_missing_input_is_named(client: httpx2.AsyncClient) -> None:
    refused = await client.post("/api/runs", json={"template_id": (await listed(client))["written_text"]})

    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["/input/model"]


async def test_page_starts_no_unknown_workflow(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/runs", data={"workflow": "$where"}, headers={"Sec-Fetch-Site": "same-origin"})

    assert answer.status_code == 404
