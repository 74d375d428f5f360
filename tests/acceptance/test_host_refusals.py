"""Hosts that cannot start: one clear line with the remedy, and exit code 1."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from appsupport.hosts.installed_hosts import commands


def run(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    # PATH is empty: a mongod of this machine must not help out.
    given = {"PATH": "", **environment}
    ended = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


def test_environment_without_mongod_tells_remedy(tmp_path: Path) -> None:
    code, said = run([str(commands("server") / "appdb"), "dev-db", "--data", str(tmp_path)], {})

    assert code == 1
    assert "pip install 'appdb[embedded]'" in said


def test_embedded_database_names_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [str(commands("database") / "appdb"), "dev-db", "--data", str(tmp_path), "--port", port]
        code, said = run(command, {})

    assert (code, f"port {port}" in said, "--port" in said) == (1, True, True)


@pytest.mark.parametrize("host", ["server", "worker"])
def test_host_names_silent_database(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    uri = f"mongodb://user:hunter2@127.0.0.1:{port}/?replicaSet=rs0"
    code, said = run([str(commands(host) / f"app{host}")], {"APP_MONGO_URI": uri})

    assert code == 1
    assert f"127.0.0.1:{port}" in said
    assert "appdb dev-db" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("host", ["server", "worker"])
def test_host_tells_database_must_be_migrated(host: str, mongo_uri: str, database_name: str) -> None:
    environment = {"APP_MONGO_URI": mongo_uri, "APP_MONGO_DATABASE": database_name}
    code, said = run([str(commands(host) / f"app{host}")], environment)

    assert (code, "appdb migrate" in said) == (1, True)
