"""`appdb migrate` and `appdb check`: what they say, to people and to programs, and their exit codes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from appdb import Database
from appdb.migrations._module import known_migrations
from appdb.migrations.contract import CONTRACT_VERSION
from appsupport.cli.appdb_command import CommandLine
from appsupport.migrations.earlier_releases import all_indexes, restore

NAMES = [migration.id for migration in known_migrations()]


async def findings(command: CommandLine) -> tuple[int, list[dict[str, Any]]]:
    answer = await command("check", "--json")
    (said,) = answer.rows()
    assert said["ok"] is (answer.code == 0)
    return answer.code, said["findings"]


async def test_dry_run_tells_steps_and_changes_nothing(empty: Database, command: CommandLine) -> None:
    await restore(empty, "0.1")
    before = await empty.raw.command("dbHash")
    planned = await command("migrate", "--dry-run")
    after = await empty.raw.command("dbHash")

    assert planned.code == 0
    assert before["md5"] == after["md5"]
    assert "m0001_pre_initial_indexes would be run" not in planned.out
    assert "m0002_pre_queue would be run" in planned.out
    assert "update documents tasks: 7" in planned.out
    assert "create index tasks.tasks_lane" in planned.out
    assert "drop index tasks.tasks_claim" in planned.out
    assert planned.out.count("create index tasks.tasks_lane") == 1
    assert planned.out.endswith("nothing was changed\n")


async def test_dry_run_down_tells_what_is_dropped(empty: Database, command: CommandLine) -> None:
    await empty.migrate()
    before = await all_indexes(empty)
    planned = await command("migrate", "down", "--to", "0002", "--dry-run")
    refused = await command("migrate", "down", "--to", "m0001", "--dry-run")
    misspelt = await command("migrate", "down", "--to", "latest")

    assert (planned.code, "m0003_pre_whole would be undone" in planned.out) == (0, True)
    assert (refused.code, "cannot be undone" in refused.err) == (1, True)
    assert misspelt.code == 2
    assert await all_indexes(empty) == before


async def test_status_tells_applied_and_pending(empty: Database, command: CommandLine) -> None:
    await restore(empty, "0.2")
    text, (fields,) = await command("migrate", "status"), (await command("migrate", "status", "--json")).rows()
    await command("migrate")
    (after,) = (await command("migrate", "status", "--json")).rows()

    assert [line.split()[:2] for line in text.out.splitlines()[1 : len(NAMES) + 1]] == [
        ["m0001_pre_initial_indexes", "applied"],
        ["m0002_pre_queue", "applied"],
        *([name, "pending"] for name in NAMES[2:]),
    ]
    assert fields["contract"] == {"newest": 2, "oldest": 2}
    assert (fields["lock"], fields["running"], fields["problems"]) == (None, None, [])
    assert [row["state"] for row in after["migrations"]] == ["applied"] * len(NAMES)
    assert after["contract"] == {"newest": CONTRACT_VERSION, "oldest": 2}


async def test_down_and_up_restore_database(empty: Database, command: CommandLine) -> None:
    first = await command("migrate", "up")
    down = await command("migrate", "down", "--to", "2")
    again = await command("migrate")

    assert [line.partition(":")[0] for line in first.out.splitlines()[:-1]] == NAMES
    assert (down.code, "m0003_pre_whole: undone" in down.out) == (0, True)
    assert (again.code, again.out.splitlines()[-1]) == (
        0,
        f"{len(NAMES) - 2} migrations run; database {empty.name!r} is up to date",
    )


async def test_validate_tells_changed_and_missing_migrations(empty: Database, command: CommandLine) -> None:
    await empty.migrate()
    whole = await command("migrate", "validate")
    await empty.collection("migrations").update_one({"_id": NAMES[0]}, {"$set": {"checksum": "other"}})
    await empty.collection("migrations").delete_one({"_id": NAMES[1]})
    broken, (fields,) = await command("migrate", "validate"), (await command("migrate", "validate", "--json")).rows()
    refused = await command("migrate")

    assert whole.code == 0
    assert broken.code == 1
    assert f"migration {NAMES[0]} was changed after it ran" in broken.out
    assert f"migration {NAMES[1]} was never run here, and a later one was" in broken.out
    assert (fields["ok"], len(fields["problems"])) == (False, 2)
    assert (refused.code, "was changed after it ran" in refused.err) == (1, True)


async def test_check_accepts_migrated_database(empty: Database, command: CommandLine) -> None:
    await empty.migrate()
    text = await command("check")

    assert (text.code, "up to date" in text.out) == (0, True)
    assert await findings(command) == (0, [])


async def test_check_tells_wrong_indexes_and_command_mends(empty: Database, command: CommandLine) -> None:
    await empty.migrate()
    tasks, workers = empty.collection("tasks"), empty.collection("workers")
    await tasks.drop_index("tasks_owner")
    await tasks.drop_index("tasks_unique_key")
    await tasks.create_index([("owner_id", 1), ("unique_key", 1)], name="tasks_unique_key", sparse=True)
    await workers.drop_index("workers_stale")
    await workers.create_index([("seen_at", 1)], name="workers_stale", expireAfterSeconds=9)
    code, found = await findings(command)
    text = await command("check")
    dry = await command("migrate", "indexes", "--dry-run")
    still, _ = await findings(command)
    mended = await command("migrate", "indexes")

    assert (code, still) == (1, 1)
    assert [(row["severity"], row["name"], row["mend"]) for row in found] == [
        ("error", "tasks.tasks_owner", "appdb migrate indexes"),
        ("error", "tasks.tasks_unique_key", "appdb migrate indexes"),
        ("error", "workers.workers_stale", "appdb migrate indexes"),
    ]
    assert found[0]["problem"] == "missing"
    assert "unique: declared True, found False" in found[1]["problem"]
    assert "sparse: declared False, found True" in found[1]["problem"]
    assert "expireAfterSeconds: declared 300, found 9" in found[2]["problem"]
    assert (text.code, "appdb migrate indexes" in text.err) == (1, True)
    assert "3 indexes to mend" in dry.out
    assert (mended.code, "3 indexes mended" in mended.out) == (0, True)
    assert await findings(command) == (0, [])


async def test_misnamed_index_is_told_and_mended(empty: Database, command: CommandLine) -> None:
    await empty.migrate()
    before = await all_indexes(empty)
    events, workers = empty.collection("events"), empty.collection("workers")
    keys = [("run_id", 1), ("branch_id", 1), ("seq", 1)]
    await events.drop_index("events_branch")
    await events.create_index(keys, name="mine")
    # One that is different by its own name, and there under another one.
    await events.drop_index("events_log")
    await events.create_index([("run_id", 1), ("seq", 1)], name="events_log")
    await events.create_index([("run_id", 1), ("seq", 1)], name="by_number", unique=True)
    await workers.drop_index("workers_stale")
    await workers.create_index([("seen_at", 1)], name="stale", expireAfterSeconds=9)
    told = json.loads((await command("check", "--json")).out)["findings"]
    blocked = await command("migrate", "down", "--to", "3")
    migrated = await command("migrate")
    mended = await command("migrate", "indexes")

    assert [(row["severity"], row["name"], row["problem"].split(":")[0], row["mend"]) for row in told] == [
        ("error", "events.events_branch", "misnamed", "appdb migrate indexes"),
        ("error", "events.events_log", "different", "appdb migrate indexes"),
        ("error", "workers.workers_stale", "misnamed", "appdb migrate indexes"),
    ]
    assert blocked.code == 0
    assert (migrated.code, "appdb migrate indexes" in migrated.err) == (1, True)
    assert mended.code == 0
    assert (await command("migrate")).code == 0
    assert await all_indexes(empty) == before
    assert (await command("check")).code == 0


async def test_extra_index_is_only_warning(empty: Database, command: CommandLine) -> None:
    await empty.migrate()
    await empty.collection("tasks").create_index([("actor", 1)], name="mine")
    code, found = await findings(command)

    assert code == 0
    assert [(row["severity"], row["name"], row["problem"]) for row in found] == [
        ("warning", "tasks.mine", "extra: actor 1")
    ]
    assert (await command("check")).code == 0


@pytest.mark.parametrize("version", ["0.1", "0.2"])
async def test_check_tells_pending_migrations(empty: Database, command: CommandLine, version: str) -> None:
    await restore(empty, version)
    code, found = await findings(command)

    assert code == 1
    assert {row["mend"] for row in found if row["severity"] == "error"} == {"appdb migrate"}
    assert [row["name"] for row in found if row["problem"] == "pending"] == NAMES[int(version[2:]) :]


async def test_wait_ends_when_other_host_is_done(empty: Database, command: CommandLine) -> None:
    now = await empty.server_time()
    lock = {"_id": "migrations", "holder": "mig_1", "by": "host-1, process 7", "since": now}
    await empty.collection("config").insert_one(lock | {"expires_at": now + timedelta(seconds=2)})
    refused = await command("migrate", "--wait", "0s")
    waited = await command("migrate", "--wait", "60s")

    assert (refused.code, "host-1, process 7 since" in refused.err) == (1, True)
    assert (waited.code, "waiting for another host that is migrating: host-1" in waited.err) == (0, True)


def test_check_of_empty_database_prints_json(command: CommandLine, mongo_uri: str) -> None:
    process = command.start("check", "--json")
    out, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert [row["what"] for row in json.loads(out)["findings"]] == ["contract"]
    assert mongo_uri not in out
