"""The diagnosis of a missing primary: each member that the URI names is asked alone what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from appdb._driver._chosen import close_client, new_client

ASK_MS = 2_000
"""A member that does not say within this time what it is does not help the reader either."""
_OF_A_SET = frozenset({"replicaset", "authmechanism", "authmechanismproperties", "authsource", "loadbalanced"})
"""Options that make no sense for one member, asked without signing in."""


async def unfitness(uri: str) -> str | None:
    """Return why the members named by *uri* cannot be the replica set that it asks for, or ``None`` if they may be.

    The driver itself leaves out a member whose set has another name, or that has none, without a word.
    """
    try:
        # A `mongodb+srv` name is looked up by a blocking DNS query.
        parsed = await asyncio.to_thread(parse_uri, uri)
    except PyMongoError:
        # A name that cannot be resolved: the driver's own error says so.
        return None
    given = {name.lower(): value for name, value in parsed["options"].items()}
    options = {name: value for name, value in given.items() if name not in _OF_A_SET}
    said = [await _said(host, port, options) for host, port in parsed["nodelist"]]
    problems = [unfit(name, hello, given.get("replicaset")) for name, hello in said if hello is not None]
    return "; ".join(filter(None, problems)) or None


async def _said(host: str, port: int | None, options: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Return a member's name and what it says of itself, or ``None`` where it does not answer."""
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    alone = {"directConnection": True, "serverSelectionTimeoutMS": ASK_MS, "timeoutMS": ASK_MS}
    client = new_client(f"mongodb://{name}/", {**options, **alone})
    try:
        hello: dict[str, Any] = await client.admin.command("hello")
    except PyMongoError:
        return name, None
    finally:
        await close_client(client)
    return name, hello


def unfit(name: str, hello: Mapping[str, Any], wanted: str | None = None) -> str | None:
    """Return why the server *name*, which says *hello* of itself, is no member of the set *wanted*, or of any."""
    if hello.get("isreplicaset"):
        return f"{name} is a member of no set yet: run rs.initiate() there once"
    found = hello.get("setName")
    if found is None:
        return (
            f"{name} is a standalone server: transactions and change streams need a replica set; start mongod with "
            "--replSet rs0 and run rs.initiate() once (one node is enough), or run `appdb dev-db` for a local one"
        )
    if wanted is not None and found != wanted:
        return f"{name} belongs to the replica set {found!r}, and the URI asks for {wanted!r}: write replicaSet={found}"
    return None
