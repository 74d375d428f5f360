"""Starting a worker that cannot work: one clear line, and exit code 1."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from appdb.embedded import free_port


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appworker", *arguments]
    # Without a key the worker warns, in a line of its own, that it does not offer the llm actor.
    told = os.environ | {"APPWORKER_OPENAI_API_KEY": "sk-of-nobody"} | environment
    return subprocess.run(command, env=told, capture_output=True, text=True, timeout=60, check=False)


def test_missing_database_stops_start() -> None:
    uri = f"mongodb://u:hunter2@127.0.0.1:{free_port()}/?replicaSet=rs0"
    ended = start(APP_MONGO_URI=uri)

    assert ended.returncode == 1
    assert "the database did not answer" in ended.stderr
    assert "APP_MONGO_URI" in ended.stderr
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_standalone_server_stops_start(standalone_mongo_uri: str) -> None:
    ended = start(APP_MONGO_URI=standalone_mongo_uri)

    assert (ended.returncode, "replica set" in ended.stderr, "Traceback" in ended.stderr) == (1, True, False)


def test_unmigrated_database_stops_start(mongo_uri: str, database_name: str) -> None:
    ended = start(APP_MONGO_URI=mongo_uri, APP_MONGO_DATABASE=database_name)

    assert (ended.returncode, "appdb migrate" in ended.stderr) == (1, True)


@pytest.mark.parametrize("name", ["a b", "a$", "admin"])
def test_impossible_database_name_stops_start(mongo_uri: str, name: str) -> None:
    ended = start(APP_MONGO_URI=mongo_uri, APP_MONGO_DATABASE=name)

    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert f"database name: {name!r}" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {"APPWORKER_SLOT": "3"}, "did you mean APPWORKER_SLOTS"),
        ([], {"APPWORKER_SLOTS": "many"}, "APPWORKER_SLOTS: Input should be a valid integer"),
        ([], {"APPWORKER_LEASE": "5", "APPWORKER_HEARTBEAT": "4"}, "at least three times"),
        (["--actors", "nobody"], {}, "no installed package offers it"),
        (["--actors", "nowhere:thing"], {}, "module:attribute"),
        (["--actors", "json:dumps"], {}, "decorate the function"),
    ],
)
def test_wrong_setting_stops_start(arguments: list[str], environment: dict[str, str], message: str) -> None:
    ended = start(*arguments, **environment)

    assert ended.returncode == 1
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
