"""Opening a database: what is refused, and what the refusal says."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from appdb import (
    AppDbError,
    ContractMismatchError,
    Database,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    EmbeddedServerError,
    InvalidDataError,
    MigrationError,
    UnfitServerError,
)
from appdb._schema.indexes import INDEXES
from appdb.cli import main
from appdb.embedded import EmbeddedServer, free_port
from appdb.host import NO_RETRIES
from appdb.migrations._module import known_migrations


async def test_missing_database_error_names_hosts_and_remedy() -> None:
    port = free_port()
    database = Database(
        f"mongodb://somebody:hunter2@127.0.0.1:{port}/?replicaSet=rs0",
        "app",
        selection_timeout=timedelta(milliseconds=300),
    )
    with pytest.raises(DatabaseUnavailableError) as caught:
        await database.open()
    await database.close()

    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "APP_MONGO_URI" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_standalone_server_is_refused(standalone_mongo_uri: str) -> None:
    with pytest.raises(UnfitServerError, match=r"rs\.initiate"):
        async with Database(standalone_mongo_uri, "app"):
            pass


async def test_standalone_behind_replica_set_uri_is_refused(standalone_mongo_uri: str) -> None:
    hosts = standalone_mongo_uri.removeprefix("mongodb://").partition("/")[0]
    with pytest.raises(UnfitServerError, match=f"{hosts} is a standalone server.*--replSet"):
        async with Database(f"mongodb://{hosts}/?replicaSet=rs0", "app", selection_timeout=timedelta(seconds=1)):
            pass


async def test_wrong_replica_set_name_error_tells_right_one(mongo_uri: str) -> None:
    hosts = mongo_uri.removeprefix("mongodb://").partition("/")[0]
    uri = f"mongodb://{hosts}/?replicaSet=other"
    with pytest.raises(UnfitServerError, match="belongs to the replica set 'rs0', and the URI asks for 'other'"):
        async with Database(uri, "app", selection_timeout=timedelta(seconds=1)):
            pass


async def test_wrong_credentials_error_hides_password(mongo_uri: str) -> None:
    uri = mongo_uri.replace("mongodb://", "mongodb://somebody:hunter2@")
    with pytest.raises(DatabaseRefusedError, match=r"connecting to MongoDB at .*check user and password") as caught:
        async with Database(uri, "app"):
            pass

    assert "hunter2" not in str(caught.value)
    assert "full error" not in str(caught.value)


async def test_opening_logs_server_and_database(
    database: Database, mongo_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="appdb.database"):
        await database.open()
    (record,) = caplog.records

    assert record.__dict__["server"] == mongo_uri.removeprefix("mongodb://").partition("/")[0]
    assert record.__dict__["database"] == database.name


async def test_unmigrated_database_is_refused(mongo_uri: str, database_name: str) -> None:
    with pytest.raises(ContractMismatchError, match="appdb migrate"):
        async with Database(mongo_uri, database_name):
            pass


async def test_newer_releases_database_is_refused(database: Database, mongo_uri: str) -> None:
    await database.collection("config").update_one({"_id": "contract"}, {"$set": {"version": 99}})
    with pytest.raises(ContractMismatchError, match="Upgrade this host"):
        async with Database(mongo_uri, database.name):
            pass


@pytest.mark.parametrize("uri", ["", "localhost", "http://localhost", "mongodb://", "mongodb://u:p@@@:x"])
def test_unreadable_uri_is_not_repeated(uri: str) -> None:
    with pytest.raises(InvalidDataError) as caught:
        Database(uri, "app")

    assert "mongodb://HOST:PORT" in str(caught.value)
    assert "u:p" not in str(caught.value)


async def test_migration_makes_exactly_declared_indexes(database: Database) -> None:
    assert await database.migrate() == []
    for collection in {index.collection for index in INDEXES}:
        found = set(await database.collection(collection).index_information())
        declared = {index.name for index in INDEXES if index.collection == collection}
        assert found == declared | {"_id_"}


async def test_concurrent_hosts_run_each_migration_once(mongo_uri: str, database_name: str) -> None:
    hosts = [Database(mongo_uri, database_name) for _ in range(4)]
    outcomes = await asyncio.gather(*(host.migrate() for host in hosts), return_exceptions=True)
    for host in hosts:
        await host.close()
    ran = [migration.id for outcome in outcomes if isinstance(outcome, list) for migration in outcome]

    assert ran == [migration.id for migration in known_migrations()]
    assert all(isinstance(outcome, list | MigrationError) for outcome in outcomes)


async def test_changed_migration_is_told(database: Database) -> None:
    await database.collection("migrations").update_one({}, {"$set": {"checksum": "other"}})
    with pytest.raises(MigrationError, match="was changed after it ran"):
        await database.pending_migrations()


def test_command_migrates_and_checks(mongo_uri: str, database_name: str) -> None:
    run = CliRunner()
    options = ["--uri", mongo_uri, "--database", database_name]
    before = run.invoke(main, [*options, "check"])
    migrated = run.invoke(main, [*options, "migrate"])
    after = run.invoke(main, [*options, "check"])

    assert (before.exit_code, migrated.exit_code, after.exit_code) == (1, 0, 0)
    assert "appdb migrate" in before.output
    assert "up to date" in after.output


async def test_embedded_server_names_taken_port(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "first", port=0) as first:
        with pytest.raises(EmbeddedServerError, match=f"port {first.port} cannot be used"):
            await EmbeddedServer(tmp_path / "second", port=first.port).start()


async def test_embedded_server_names_taken_folder(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "data", port=0):
        with pytest.raises(EmbeddedServerError, match="in use by another mongod"):
            await EmbeddedServer(tmp_path / "data", port=0).start()


async def test_embedded_server_names_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="cannot be written"):
        await EmbeddedServer(tmp_path / "file" / "data", port=0).start()


async def test_embedded_server_names_missing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho 'error while loading shared libraries: libcurl.so.4' >&2\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedServerError, match=r"libcurl\.so\.4[\s\S]*apt-get install libcurl4"):
        await EmbeddedServer(tmp_path / "data", port=0).start()


async def test_embedded_server_keeps_data_on_new_port(tmp_path: Path) -> None:
    for _ in range(2):
        async with EmbeddedServer(tmp_path, port=0) as server:
            database = Database(server.uri, "kept")
            await database.migrate()
            await database.collection("notes").insert_one({"text": "here"})
            count = await database.collection("notes").count_documents({})
            await database.close()

    assert count == 2


async def test_server_time_is_aware(database: Database) -> None:
    assert (await database.server_time()).utcoffset() == timedelta(0)


async def test_no_driver_error_leaves_package(database: Database) -> None:
    await database.close()
    with pytest.raises(AppDbError):
        await database.server_time()


async def test_server_time_is_the_servers_own(database: Database) -> None:
    first, second = await database.server_time(), await database.server_time()

    assert first.utcoffset() == timedelta(0)
    assert first <= second


async def test_healthy_database_reports_nothing(database: Database) -> None:
    assert await database.check() == []


async def test_all_problems_are_reported_at_once(mongo_uri: str, database_name: str) -> None:
    database = Database(mongo_uri, database_name)
    problems = await database.check()
    await database.close()

    assert len(problems) == 1
    assert "appdb migrate" in problems[0]


async def test_weak_write_concern_is_reported_not_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with EmbeddedServer(tmp_path, port=0) as server:
        weak = Database(server.uri, "app")
        await weak.migrate()
        default = {"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}}
        await weak.raw.client.admin.command(default)
        await weak.open()
        problems = await weak.check()
        await weak.close()

    assert len(problems) == 1
    assert "setDefaultRWConcern" in problems[0]
    assert "the server's default write concern is weak" in caplog.text


async def test_retry_without_primary_ends_at_the_retry_timeout() -> None:
    tries = 0

    async def call() -> None:
        nonlocal tries
        tries += 1
        raise DatabaseUnavailableError("calling", "nobody is there")

    database = Database(f"mongodb://127.0.0.1:{free_port()}/", "app", retry_timeout=timedelta(milliseconds=300))
    with pytest.raises(DatabaseUnavailableError):
        async with asyncio.timeout(10):
            await database.retry(call)
    await database.close()

    assert tries > 1


async def test_no_retries_calls_once() -> None:
    tries = 0

    async def call() -> None:
        nonlocal tries
        tries += 1
        raise DatabaseUnavailableError("calling", "nobody is there")

    database = Database(f"mongodb://127.0.0.1:{free_port()}/", "app", retry_timeout=NO_RETRIES)
    with pytest.raises(DatabaseUnavailableError):
        await database.retry(call)
    await database.close()

    assert tries == 1


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a.b",
        "a$",
        "a/b",
        "a\\b",
        'a"b',
        "a\x00b",
        "a\nb",
        "\ud800",
        "x" * 64,
        "ä" * 32,
        "admin",
        "config",
        "local",
    ],
)
def test_impossible_application_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidDataError, match=r"^database name: "):
        Database(f"mongodb://127.0.0.1:{free_port()}/", name)


@pytest.mark.parametrize("name", ["app", "x" * 63, "ä" * 31, "my-app_2"])
async def test_possible_application_name_is_taken(name: str, mongo_uri: str) -> None:
    database = Database(mongo_uri, name)

    assert await database.contract_version() is None
    await database.close()


@pytest.mark.parametrize("most", [1, 2])
def test_too_small_pool_for_feed_is_refused(most: int) -> None:
    with pytest.raises(InvalidDataError, match=f"maxPoolSize={most} is too few.*write maxPoolSize=3 or more"):
        Database(f"mongodb://127.0.0.1:{free_port()}/?maxPoolSize={most}", "app")


@pytest.mark.parametrize("most", [0, 3])
async def test_sufficient_pool_is_taken(most: int, mongo_uri: str, database: Database) -> None:
    async with Database(f"{mongo_uri}&maxPoolSize={most}", database.name) as pooled:
        await asyncio.gather(*(pooled.ping() for _ in range(10)))


async def test_database_may_be_closed_twice(mongo_uri: str) -> None:
    database = Database(mongo_uri, "app")
    await database.ping()
    await database.close()
    await database.close()

    with pytest.raises(AppDbError):
        await database.ping()
