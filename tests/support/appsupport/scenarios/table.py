"""The table of all scenarios, and the methods of the package that must be in it."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Iterator
from typing import Any

import appdb
from appdb.base import BaseRepository
from appdb.mixins.config import ConfigMixin
from appsupport import scenarios
from appsupport.scenarios.scenario import Scenario, Scenes, Text

NO_SCENES = frozenset({"held_tasks", "method_arguments", "scenario", "staged_runs", "table"})


def _load() -> tuple[Scenes, ...]:
    names = sorted(info.name for info in pkgutil.iter_modules(scenarios.__path__) if info.name not in NO_SCENES)
    return tuple(importlib.import_module(f"{scenarios.__name__}.{name}").SCENES for name in names)


SCENES = _load()
SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenes in SCENES for scenario in scenes.scenarios}
TEXTS: dict[str, Text] = {text.method: text for scenes in SCENES for text in scenes.texts}
SUBJECTS = {scenes.subject.__name__: scenes.subject for scenes in SCENES}


def repositories() -> list[type[Any]]:
    """Return every class of the package that stands between its user and a collection."""
    exported = [getattr(appdb, name) for name in appdb.__all__]
    known = [appdb.TaskQueue, appdb.Database]
    return [each for each in exported if inspect.isclass(each) and (issubclass(each, BaseRepository) or each in known)]


def methods() -> dict[str, Any]:
    """Return every public method that talks to the database, by its name in its class.

    Of ``Database`` that is what takes an owner, and the settings: the rest is about the database as a whole.
    """
    found: dict[str, Any] = {}
    for subject in repositories():
        for name, method in inspect.getmembers(subject, _talks):
            of_somebody = "owner_id" in _parameters(method) or name in vars(ConfigMixin)
            if not name.startswith("_") and (subject is not appdb.Database or of_somebody):
                found[f"{subject.__name__}.{name}"] = method
    return found


def owned_methods() -> list[str]:
    """Return the names of the methods that take an ``owner_id``."""
    return [name for name, method in methods().items() if "owner_id" in _parameters(method)]


def texts_of(name: str) -> set[str]:
    """Return the parameters of the method *name*, and their fields, that can hold text."""
    hints = typing.get_type_hints(methods()[name], include_extras=False)
    parameters = [parameter for parameter in _parameters(methods()[name]) if parameter not in {"self", "session"}]
    return {path for parameter in parameters for path in _texts(parameter, hints[parameter])}


def plain_of(name: str) -> set[str]:
    """Return the parameters of the method *name* that are declared to hold no free text."""
    subject, _, method = name.partition(".")
    (scenes,) = [scenes for scenes in SCENES if scenes.subject.__name__ == subject]
    mine = {entry.removeprefix(f"{method}.") for entry in scenes.plain}
    return {path for path in texts_of(name) if path in mine or path.rpartition(".")[2] in mine}


def made_for(scenario: Scenario, database: appdb.Database) -> Any:
    """Return the object that *scenario* calls, over *database*."""
    subject = SUBJECTS[scenario.method.partition(".")[0]]
    return database if subject is appdb.Database else subject(database)


def _talks(member: object) -> bool:
    return inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)


def _parameters(method: Any) -> list[str]:
    return list(inspect.signature(method).parameters)


def _texts(path: str, hint: Any, inside: tuple[type, ...] = ()) -> Iterator[str]:
    """Yield *path* if a value of the type *hint* is text or holds some; a dataclass is taken apart, once."""
    for part in _alternatives(hint):
        if not dataclasses.is_dataclass(part):
            if _is_text(part):
                yield path
        elif isinstance(part, type) and part not in inside:
            for name, each in typing.get_type_hints(part).items():
                yield from _texts(f"{path}.{name}", each, (*inside, part))


def _alternatives(hint: Any) -> Iterator[Any]:
    """Yield what a value may be made of: the parts of unions and of containers."""
    inner = [part for part in typing.get_args(hint) if part is not Ellipsis and not isinstance(part, str)]
    if not inner:
        yield hint
    for part in inner:
        yield from _alternatives(part)


def _is_text(hint: Any) -> bool:
    return hint is str or "Json" in str(hint) or hint is Any
