"""Doors and parts: the public repositories stand alone in ``repos``, and nothing else is a repository."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import appdb
from appdb import TaskQueue, repos
from appdb.base import BaseRepository

DOORS = [module.name for module in pkgutil.iter_modules(repos.__path__)]
ROOMS = ("content", "mixins", "queue", "runs", "schedules", "users", "versions")


def classes_of(name: str) -> list[type]:
    """Return the classes that a module of appdb defines itself."""
    module = importlib.import_module(f"appdb.{name}")
    return [found for _, found in inspect.getmembers(module, inspect.isclass) if found.__module__ == module.__name__]


def modules_in(room: str) -> list[str]:
    """Return the modules of a room of appdb."""
    path = importlib.import_module(f"appdb.{room}").__path__
    return [f"{room}.{module.name}" for module in pkgutil.iter_modules(path)]


@pytest.mark.parametrize("door", DOORS)
def test_door_is_one_exported_repository(door: str) -> None:
    (found,) = (one for one in classes_of(f"repos.{door}") if not one.__name__.startswith("_"))

    assert found.__bases__ == (BaseRepository,)
    assert getattr(appdb, found.__name__) is found


@pytest.mark.parametrize("room", ROOMS)
def test_parts_are_no_repositories(room: str) -> None:
    found = [one for module in modules_in(room) for one in classes_of(module) if issubclass(one, BaseRepository)]

    assert [one for one in found if one is not TaskQueue] == []
