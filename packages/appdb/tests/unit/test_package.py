"""The public face of the package."""

from __future__ import annotations

import importlib
import pickle
import sysconfig
import types
from importlib.metadata import requires, version
from pathlib import Path

import pytest

import appdb
from appdb import errors


def test_tested_package_is_the_built_one() -> None:
    assert Path(appdb.__file__).is_relative_to(sysconfig.get_path("purelib"))
    assert appdb.__version__ == version("appdb")


def public_names(room: types.ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(room).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }


def test_all_names_every_public_name() -> None:
    assert public_names(appdb) | {"__version__"} == set(appdb.__all__)


@pytest.mark.parametrize("room", ["appdb.host", "appdb.models", "appdb.testing"])
def test_all_of_room_names_every_public_name(room: str) -> None:
    module = importlib.import_module(room)

    assert public_names(module) == set(module.__all__)


@pytest.mark.parametrize("room", ["appdb.embedded", "appdb.feed"])
def test_all_of_module_names_what_is_there(room: str) -> None:
    module = importlib.import_module(room)

    assert set(module.__all__) <= public_names(module)


def test_no_host_is_dependency() -> None:
    assert not [requirement for requirement in requires("appdb") or [] if requirement.startswith("app")]


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFoundError("task", "tq_1"),
        errors.ConflictError("task", "tq_1", "no"),
        errors.InvalidDataError("payload", "no"),
        errors.TooLargeError("payload", 2, 1),
        errors.LeaseLostError("tq_1", 2),
        errors.DatabaseUnavailableError("doing", "no"),
    ],
)
def test_errors_survive_pickling_and_name_subject(error: errors.AppDbError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert str(error.args[0]) in str(error)
