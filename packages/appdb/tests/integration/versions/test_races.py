"""Two hosts do the same at the same time: it happens once, and both are told the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from appdb import Database, NotFoundError, VersionRepository
from appdb._driver import Session
from appdb.models import GLOBAL_OWNER, NewResolvedVersion, NewVersion, WorkflowTemplate

OWNER = "usr_a"
ROUNDS = 50

Hosts = list[Database]


@pytest.fixture
async def hosts(database: Database, mongo_uri: str) -> AsyncIterator[Hosts]:
    async with Database(mongo_uri, database.name) as other:
        yield [database, other]


async def at_once(hosts: Hosts, call: Callable[[VersionRepository], Awaitable[str]]) -> set[str]:
    return set(await asyncio.gather(*(call(VersionRepository(host)) for host in [*hosts, *hosts])))


async def test_concurrent_template_requests_make_one(hosts: Hosts) -> None:
    for number in range(ROUNDS):
        name = f"film {number}"

        async def made(versions: VersionRepository, name: str = name) -> str:
            return (await versions.get_or_create_template(name, owner_id=OWNER)).id

        assert len(await at_once(hosts, made)) == 1

    assert await hosts[0].collection("workflow_templates").count_documents({}) == ROUNDS


async def test_concurrent_transactions_make_one_template(hosts: Hosts) -> None:
    for number in range(ROUNDS):

        async def made(host: Database, name: str = f"film {number}") -> str:
            versions = VersionRepository(host)

            async def body(session: Session) -> WorkflowTemplate:
                return await versions.get_or_create_template(name, owner_id=OWNER, session=session)

            return (await host.transaction(body)).id

        assert len(set(await asyncio.gather(*(made(host) for host in hosts)))) == 1


async def test_concurrent_copies_make_one_copy(hosts: Hosts) -> None:
    versions = VersionRepository(hosts[0])
    original = await versions.get_or_create_template("film", owner_id=GLOBAL_OWNER)
    for number in range(3):
        await versions.store(
            original.id,
            NewVersion(definition={"v": number}),
            owner_id=GLOBAL_OWNER,
            resolved=[NewResolvedVersion(definition={"v": number, "for": one}) for one in range(2)],
        )
    for number in range(10):

        async def copied(versions: VersionRepository, owner_id: str = f"usr_{number}") -> str:
            copy = await versions.get_or_create_copy(original.id, owner_id=owner_id)
            await versions.sync_copy(copy.id, owner_id=owner_id)
            return copy.id

        assert len(await at_once(hosts, copied)) == 1
        assert await hosts[0].collection("workflow_versions").count_documents({"owner_id": f"usr_{number}"}) == 9


async def test_concurrent_equal_content_makes_one_version(hosts: Hosts) -> None:
    template = await VersionRepository(hosts[0]).get_or_create_template("film", owner_id=OWNER)
    for number in range(ROUNDS):

        async def stored(versions: VersionRepository, number: int = number) -> str:
            tree = await versions.store(
                template.id,
                NewVersion(definition={"v": number}),
                owner_id=OWNER,
                resolved=[NewResolvedVersion(definition={"v": number, "for": "all"})],
            )
            return f"{tree.source.id} {tree.resolved[0].id}"

        assert len(await at_once(hosts, stored)) == 1

    assert await hosts[0].collection("workflow_versions").count_documents({}) == 2 * ROUNDS


async def test_store_races_safely_with_template_deletion(hosts: Hosts) -> None:
    first, second = (VersionRepository(host) for host in hosts)
    for number in range(ROUNDS):
        template = await first.get_or_create_template(f"film {number}", owner_id=OWNER)
        new = NewVersion(definition={"v": 1})

        stored, deleted = await asyncio.gather(
            first.store(template.id, new, owner_id=OWNER),
            second.delete_template(template.id, owner_id=OWNER),
            return_exceptions=True,
        )

        assert deleted is None
        assert not isinstance(stored, BaseException) or isinstance(stored, NotFoundError)
    assert await hosts[0].collection("workflow_versions").count_documents({}) == 0


async def test_concurrent_merges_merge_duplicates_once(hosts: Hosts) -> None:
    versions, other = (VersionRepository(host) for host in hosts)
    raw = hosts[0].collection("workflow_versions")
    now = await hosts[0].server_time()
    for number in range(10):
        template = await versions.get_or_create_template(f"film {number}", owner_id=OWNER)
        common = {"owner_id": OWNER, "template_id": template.id, "kind": "raw", "parent_id": None, "created_at": now}
        twins = [f"ver_{number}_{letter}" for letter in "ab"]
        await raw.insert_many([common | {"_id": one, "content_hash": one, "definition": {"v": 1}} for one in twins])

        await asyncio.gather(
            versions.deduplicate(owner_id=OWNER),
            other.deduplicate(owner_id=OWNER),
            other.store(template.id, NewVersion(definition={"v": 2}), owner_id=OWNER),
        )

        kept = [await versions.get(one, owner_id=OWNER) for one in twins]
        assert {one.id for one in kept} == {twins[0]}
        assert kept[0].merged_ids == (twins[1],)
        assert len(await versions.list_sources(template.id, owner_id=OWNER)) == 2
