"""``appdb workers``, ``actors``, ``users`` and ``keys``, and what an operator needs to know of a task: its id."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from appdb import Database, NewTask, RegistryRepository, UserRepository
from appdb.cli import main
from appdb.models import AnnouncedWorker
from appdb.unreadable import READERS
from appsupport.cli.appdb_command import ACTOR, OWNER, QUEUE, CommandLine, StandIn
from appsupport.documents.damaged_documents import MARK, MODELS, damage
from appsupport.documents.written_documents import write_all

TASK = NewTask(owner_id=OWNER, actor=ACTOR, actor_version=3, queue=QUEUE, payload={"prompt": "a fox"}, max_attempts=2)


@pytest.mark.usefixtures("worker")
async def test_live_workers_are_listed_with_their_work(command: CommandLine) -> None:
    text, (row,) = await command("workers", "list"), (await command("workers", "list", "--json")).rows()

    assert text.out.splitlines()[1].split()[:4] == ["worker-1", "here", "1", "1"]
    assert (row["id"], row["actors"], row["queues"]) == ("worker-1", [f"{ACTOR}@3"], [QUEUE])


async def test_absence_of_workers_is_told_with_remedy(command: CommandLine) -> None:
    answer = await command("workers", "list")

    assert (answer.code, answer.out) == (0, "")
    assert "no worker is alive: start one with `appworker`" in answer.err


@pytest.mark.usefixtures("worker")
async def test_actor_shows_workers_and_schema(command: CommandLine, database: Database) -> None:
    other = AnnouncedWorker(id="w2", host="h", pid=2, queues=["other"], actors=["paint@2"], slots=1)
    await RegistryRepository(database).announce(other, [])
    text, (row,) = await command("actors", "list"), (await command("actors", "list", "--json")).rows()
    shown = await command("actors", "show", ACTOR)
    missing = await command("actors", "show", "pant")

    assert text.out.splitlines()[1].split()[:3] == [f"{ACTOR}@3", QUEUE, "1"]
    assert (row["id"], row["workers"], row["payload_schema"]) == (ACTOR, 1, {})
    assert f"{ACTOR}@3 on queue {QUEUE}" in shown.out
    assert (missing.code, "pant" in missing.err) == (1, True)


async def test_first_user_and_key_are_made(command: CommandLine, database: Database) -> None:
    (user,) = (await command("users", "create", "ada", "--email", "ada@example.org", "--admin", "--json")).rows()
    made = await command("keys", "create", "--owner", user["id"], "--name", "laptop", "--scope", "tasks:read")
    caller = await UserRepository(database).authenticate(made.out.strip())
    (key,) = (await command("keys", "list", "--owner", user["id"], "--json")).rows()

    assert caller is not None
    assert (caller.user_id, sorted(caller.roles)) == (user["id"], ["admin", "user"])
    assert caller.scopes == frozenset({"tasks:read"})
    assert "it is not shown again" in made.err
    assert (key["id"], key["name"]) == (caller.key_id, "laptop")
    assert made.out.strip() not in (await command("keys", "list", "--owner", user["id"])).out


async def test_revoked_or_disabled_key_opens_nothing(command: CommandLine, database: Database) -> None:
    users = UserRepository(database)
    (user,) = (await command("users", "create", "ada", "--json")).rows()
    first, second = [
        (await command("keys", "create", "--owner", user["id"], "--name", name, "--json")).rows()[0]
        for name in ("one", "two")
    ]
    await command("keys", "revoke", first["id"], "--owner", user["id"])
    await command("users", "deactivate", user["id"])
    while_off = await users.authenticate(second["key"])
    await command("users", "activate", user["id"])

    assert await users.authenticate(first["key"]) is None
    assert while_off is None
    assert await users.authenticate(second["key"]) is not None


async def test_users_are_listed_and_wrong_name_told(command: CommandLine) -> None:
    for name in ("ada", "bob"):
        await command("users", "create", name)
    listed = await command("users", "list", "--limit", "1")
    taken = await command("users", "create", "ADA")

    assert [line.split()[1] for line in listed.out.splitlines()[1:]] == ["bob"]
    assert "there may be more: repeat with --before usr_" in listed.err
    assert (taken.code, len(taken.err.splitlines())) == (1, 1)


async def test_task_commands_need_only_its_id(command: CommandLine, worker: StandIn) -> None:
    task = await worker.queue.enqueue(TASK)
    shown = await command("tasks", "show", task.id)
    cancelled = await command("tasks", "cancel", task.id)
    watched = await command("tasks", "watch", task.id)
    repeated = await command("tasks", "retry", task.id, "--quiet")

    assert f"owner         {OWNER}" in shown.out
    assert (cancelled.code, watched.code) == (0, 3)
    assert (await worker.queue.get(repeated.out.strip(), owner_id=OWNER)).replay_of == task.id


async def test_given_owner_is_checked(command: CommandLine, worker: StandIn) -> None:
    task = await worker.queue.enqueue(TASK)
    for words in (["show"], ["cancel"], ["watch"], ["retry"]):
        answer = await command("tasks", *words, task.id, "--owner", "usr_b")
        assert (answer.code, task.id in answer.err) == (1, True)

    assert not (await worker.queue.get(task.id, owner_id=OWNER)).state.final


@pytest.mark.usefixtures("worker")
async def test_pausing_unknown_queue_names_known_ones(command: CommandLine) -> None:
    misspelt, right = await command("queues", "pause", "medai"), await command("queues", "pause", QUEUE)

    assert misspelt.code == right.code == 0
    assert f"no task and no worker is on queue 'medai' now; known are {QUEUE}" in misspelt.err
    assert right.err == ""


async def test_command_reads_hosts_env_file(
    mongo_uri: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("APP_MONGO_URI", "APP_MONGO_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"APP_MONGO_URI={mongo_uri}\nAPP_MONGO_DATABASE={database.name}\n")
    check = CliRunner().invoke
    found = await asyncio.to_thread(check, main, ["check"])
    (tmp_path / ".env").write_text(f"APP_MONGO_URI={mongo_uri}\nAPP_MONGO_DB={database.name}\n")
    misspelt = await asyncio.to_thread(check, main, ["check"])

    assert (found.exit_code, f"database {database.name!r} is reachable" in found.output) == (0, True)
    assert misspelt.exit_code == 1
    assert "APP_MONGO_DB: unknown setting; did you mean APP_MONGO_DATABASE?" in misspelt.output


async def test_env_file_not_utf_8_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APP_MONGO_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    # What `echo ... > .env` writes in some shells.
    (tmp_path / ".env").write_bytes("APP_MONGO_DATABASE=prod\n".encode("utf-16"))
    refused = await asyncio.to_thread(CliRunner().invoke, main, ["check"])

    assert (refused.exit_code, refused.output) == (1, "Error: .env: it is no text in UTF-8; save it as UTF-8\n")


async def test_env_file_with_byte_order_mark_is_read(
    mongo_uri: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APP_MONGO_URI", raising=False)
    monkeypatch.delenv("APP_MONGO_DATABASE", raising=False)
    monkeypatch.chdir(tmp_path)
    text = f"APP_MONGO_DATABASE={database.name}\nAPP_MONGO_URI={mongo_uri}\n"
    (tmp_path / ".env").write_text(text, encoding="utf-8-sig")
    found = await asyncio.to_thread(CliRunner().invoke, main, ["check"])

    assert (found.exit_code, f"database {database.name!r} is reachable" in found.output) == (0, True)


@pytest.mark.parametrize("name", ["a b", "a$", "admin"])
async def test_impossible_database_name_is_told(mongo_uri: str, name: str) -> None:
    ended = await CommandLine(mongo_uri, name)("migrate")

    assert (ended.code, ended.out, len(ended.err.splitlines())) == (1, "", 1)
    assert f"database name: {name!r}" in ended.err


async def test_unreadable_documents_are_listed_with_remedy(command: CommandLine, database: Database) -> None:
    await write_all(database)
    whole = json.loads((await command("check", "--documents", "--json")).out)
    tasks = [row["_id"] async for row in database.collection("tasks").find({}, {"_id": 1})]
    count = await damage(database)
    plain = json.loads((await command("check", "--json")).out)
    damaged = await command("check", "--documents", "--json")
    findings = json.loads(damaged.out)["findings"]
    text = await command("check", "--documents")

    assert whole["findings"] == []
    assert (plain["ok"], damaged.code, text.code) == (True, 1, 1)
    assert {finding["what"] for finding in findings} == {"document"}
    assert len(findings) == count
    assert {finding["name"] for finding in findings} >= {f"tasks '{task_id}{MARK}'" for task_id in tasks}
    assert all(finding["problem"].startswith("cannot be read: ") for finding in findings)
    assert "then replay the task" in text.err


def test_every_model_is_checked_for_unreadable_documents() -> None:
    assert READERS.keys() == MODELS.keys()


async def test_empty_list_of_unknown_owner_is_told(command: CommandLine) -> None:
    tasks = await command("tasks", "list", "--owner", "usr_nobody")
    keys = await command("keys", "list", "--owner", "usr_nobody")

    assert tasks.code == keys.code == 0
    assert "no task is meant by that: check --owner" in tasks.err
    assert "user 'usr_nobody' has no key, or does not exist" in keys.err
