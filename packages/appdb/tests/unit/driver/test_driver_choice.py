"""The choice of a process's driver."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from appdb._driver import DRIVER, Client

SHOW = "from appdb._driver import Client; print(Client.__mro__)"


def show(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "APPDB_DRIVER"} | variables
    command = [sys.executable, "-c", SHOW]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_run_uses_requested_driver() -> None:
    assert os.environ.get("APPDB_DRIVER", "motor") == DRIVER
    assert ("motor" in Client.__module__) == (DRIVER == "motor")


@pytest.mark.parametrize(
    ("variables", "module"),
    [
        ({}, "motor.motor_asyncio"),
        ({"APPDB_DRIVER": ""}, "motor.motor_asyncio"),
        ({"APPDB_DRIVER": "motor"}, "motor.motor_asyncio"),
        ({"APPDB_DRIVER": "pymongo"}, "pymongo.asynchronous"),
    ],
)
def test_environment_chooses_driver_default_is_motor(variables: dict[str, str], module: str) -> None:
    assert module in show(**variables).stdout


def test_unknown_driver_error_names_choices() -> None:
    refused = show(APPDB_DRIVER="Motor")

    assert refused.returncode != 0
    assert "APPDB_DRIVER: there is no driver 'Motor'; write motor or pymongo" in refused.stderr.splitlines()[-1]
