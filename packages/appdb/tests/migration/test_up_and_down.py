"""Up, down and up again: the same from every release on, exactly as declared, by one host at a time."""

from __future__ import annotations

import asyncio

import pytest

from appdb import Database, MigrationError, UserRepository
from appdb._schema.indexes import INDEXES
from appdb.migrations._module import known_migrations
from appdb.migrations.contract import CONTRACT_VERSION
from appsupport.cli.appdb_command import CommandLine
from appsupport.migrations.earlier_releases import all_indexes, restore

DECLARED = {(index.collection, index.name) for index in INDEXES}


async def names(database: Database) -> set[tuple[str, str]]:
    found = await all_indexes(database)
    return {(collection, name) for collection, indexes in found.items() for name in indexes if name != "_id_"}


async def test_all_migrations_give_exactly_declared_indexes(empty: Database) -> None:
    ran = await empty.migrate()

    assert [migration.id for migration in ran] == [migration.id for migration in known_migrations()]
    assert await names(empty) == DECLARED
    assert await empty.index_differences() == []
    assert ran[-1].contract.newest == CONTRACT_VERSION
    assert await empty.migrate() == []
    await empty.open()


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3"])
async def test_migrated_old_database_equals_new_one(empty: Database, mongo_uri: str, version: str) -> None:
    await restore(empty, version)
    await empty.migrate()
    fresh = Database(mongo_uri, f"{empty.name}_b")
    try:
        await fresh.migrate()
        expected = await all_indexes(fresh)
    finally:
        await fresh.raw.client.drop_database(fresh.name)
        await fresh.close()
    found = await all_indexes(empty)

    assert {name: found[name] for name in expected} == expected
    assert found.keys() - expected.keys() <= {
        f"{bucket}.{part}" for bucket in ("media", "files") for part in ("files", "chunks")
    }
    assert await empty.index_differences() == []


async def test_up_down_up_touches_no_document(empty: Database) -> None:
    await restore(empty, "0.2")
    old, tasks = await all_indexes(empty), [row async for row in empty.collection("tasks").find()]
    await empty.migrate()
    up = await all_indexes(empty)
    undone = await empty.migrate_down(to=2)

    assert [migration.number for migration in undone] == [
        migration.number for migration in reversed(known_migrations()) if migration.number > 2
    ]
    assert await all_indexes(empty) == old
    assert await empty.contract_version() == 2
    await empty.migrate()
    assert await all_indexes(empty) == up
    assert [row async for row in empty.collection("tasks").find()] == tasks


async def test_irreversible_migration_refuses_down_first(empty: Database) -> None:
    await empty.migrate()
    before = await all_indexes(empty)
    with pytest.raises(MigrationError, match=r"m0002_pre_queue cannot be undone.*Nothing was done.*--to 0002"):
        await empty.migrate_down(to=1)

    assert await all_indexes(empty) == before
    assert await empty.contract_version() == CONTRACT_VERSION


async def test_two_hosts_run_each_migration_once(mongo_uri: str, empty: Database) -> None:
    hosts = [Database(mongo_uri, empty.name) for _ in range(5)]
    outcomes = await asyncio.gather(*(host.migrate() for host in hosts), return_exceptions=True)
    for host in hosts:
        await host.close()
    ran = [migration.id for outcome in outcomes if isinstance(outcome, list) for migration in outcome]

    assert ran == [migration.id for migration in known_migrations()]
    assert all(isinstance(outcome, list | MigrationError) for outcome in outcomes)
    assert await empty.collection("config").count_documents({"_id": "migrations"}) == 0


async def test_two_concurrent_commands_both_succeed(empty: Database, command: CommandLine) -> None:
    first, second = await asyncio.gather(command("migrate"), command("migrate"))

    assert (first.code, second.code) == (0, 0)
    assert (first.out + second.out).count("m0003_pre_whole:") == 1
    assert await empty.index_differences() == []


async def test_duplicates_under_unique_index_are_told(empty: Database) -> None:
    rows = [{"_id": f"tq_1:{number}", "task_id": "tq_1", "seq": 0} for number in range(2)]
    await restore(empty, "0.2")
    await empty.collection("task_events").drop_index("task_events_log")
    await empty.collection("task_events").insert_many(rows)
    with pytest.raises(MigrationError, match=r"unique index of task_events.*run `appdb migrate` again"):
        await empty.migrate()
    await empty.collection("task_events").delete_one({"_id": "tq_1:1"})
    await empty.migrate()

    assert await empty.index_differences() == []


async def test_index_in_another_form_is_mended(empty: Database, command: CommandLine) -> None:
    await restore(empty, "0.2")
    await empty.collection("tasks").drop_index("tasks_owner")
    await empty.collection("tasks").create_index([("owner_id", 1)], name="tasks_owner")
    with pytest.raises(MigrationError, match=r"tasks_owner of tasks is there in another form.*appdb migrate indexes"):
        await empty.migrate()
    mended = await command("migrate", "indexes")
    migrated = await command("migrate")

    assert (mended.code, "tasks.tasks_owner: was different" in mended.out, migrated.code) == (0, True, 0)
    assert await empty.index_differences() == []


async def test_released_migration_never_changes() -> None:
    first, second = known_migrations()[:2]

    assert first.checksum == "bb3f2a2a7832e1829bda657d5860162f6c50c4458d183554887e110449beff73"
    assert second.checksum == "820a800a8c6f58006251d8200f2b10510a9e699106ad526ccd8984dd19fafab5"


async def test_guest_can_be_made_on_migrated_database(empty: Database) -> None:
    await restore(empty, "0.1")
    await empty.migrate()
    users = UserRepository(empty)
    key = await users.create_guest()

    assert await users.user_of_key(key.secret) == key.user_id
