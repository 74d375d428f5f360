"""Loading of actors: finds them by entry point or import path, and checks what they need."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.metadata import entry_points

from pydantic import BaseModel

from appdb import Task
from appdb.host import handler
from appworker.actors.base import Actor
from appworker.errors import ActorLoadError, ProviderUnavailableError

logger = logging.getLogger(__name__)

GROUP = "appworker.actors"

ActorsByHandler = Mapping[str, Actor[BaseModel]]
"""Actors by what tasks call them (``name@version``)."""


def load_actors(names: Iterable[str]) -> ActorsByHandler:
    """Return the actors to offer, by what tasks call them (``name@version``).

    An installed actor whose needs are not met here is left out with a warning; one that was asked for by name must
    work.

    Args:
        names: Entry points by name, or ``module:attribute``; empty for every installed entry point.

    Raises:
        ActorLoadError: Something that was asked for does not exist or is no actor, or nothing is left to offer.
        ProviderUnavailableError: Something that was asked for lacks what it needs here.
    """
    wanted = list(names)
    found = [load_actor(name) for name in wanted] if wanted else _installed()
    if not found:
        raise ActorLoadError("*", "this host offers none; install an extra such as appworker[media], or use --actors")
    return {handler(actor.name, actor.version): actor for actor in found}


def load_actor(name: str) -> Actor[BaseModel]:
    """Return one actor, which must work here.

    Args:
        name: An entry point, or ``module:attribute``.

    Raises:
        ActorLoadError: It does not exist or is no actor.
        ProviderUnavailableError: It lacks what it needs here.
    """
    module, _, attribute = name.partition(":")
    try:
        loaded = getattr(importlib.import_module(module), attribute) if attribute else _entry_point(name)
    # ValueError: an empty module name.
    except (ImportError, AttributeError, ValueError) as exc:
        raise ActorLoadError(name, f"{exc}; write module:attribute, and check PYTHONPATH") from exc
    actor = _checked(name, loaded)
    _check_needs(actor)
    return actor


def actor_of(task: Task, actors: ActorsByHandler) -> Actor[BaseModel]:
    """Return the actor that *task* names."""
    return actors[handler(task.actor, task.actor_version)]


def _installed() -> list[Actor[BaseModel]]:
    offered = []
    for entry in entry_points(group=GROUP):
        actor = _checked(entry.name, entry.load())
        try:
            _check_needs(actor)
        # An extra that is not installed must not keep the other actors from their work.
        except ProviderUnavailableError as exc:
            logger.warning("an installed actor is not offered", extra={"actor": actor.name, "reason": str(exc)})
        else:
            offered.append(actor)
    return offered


def _entry_point(name: str) -> object:
    installed = entry_points(group=GROUP)
    if name not in installed.names:
        known = ", ".join(sorted(installed.names)) or "none"
        raise ActorLoadError(name, f"no installed package offers it (installed: {known}); write module:attribute")
    return installed[name].load()


def _checked(name: str, loaded: object) -> Actor[BaseModel]:
    if not isinstance(loaded, Actor):
        raise ActorLoadError(name, f"it is a {type(loaded).__name__}; decorate the function with @actor")
    # The process executor loads the same actor again, by this name.
    return replace(loaded, source=name)


def _check_needs(actor: Actor[BaseModel]) -> None:
    if actor.requires is not None:
        actor.requires()
