"""The providers of this host: the built-in ones, and those of installed packages, found by entry point."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

from appworker.errors import AppWorkerError, ProviderUnavailableError
from appworker.providers.local.pictures.cards import DrawnCards
from appworker.providers.local.speech.espeak import EspeakSpeech
from appworker.providers.local.video.slideshow import Slideshow

logger = logging.getLogger(__name__)

GROUP = "appworker.providers"


@runtime_checkable
class Provider(Protocol):
    """Something that actors call to make content; the entry point names its class, which takes no arguments."""

    name: str
    """What API hosts and users know it by."""

    def check(self) -> None:
        """Check that it can work on this host.

        Raises:
            ProviderUnavailableError: It cannot; the message says what to do.
        """


class ProviderLoadError(AppWorkerError):
    """A provider of an installed package cannot be loaded, or is none."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"provider {self.name!r} cannot be loaded: {self.reason}; repair or remove the package that offers it"


def installed_providers() -> list[Provider]:
    """Return the built-in providers and those of the entry point group ``appworker.providers``.

    Raises:
        ProviderLoadError: An entry point cannot be loaded, or is no provider.
    """
    return [DrawnCards(), EspeakSpeech(), Slideshow(), *map(_load, entry_points(group=GROUP))]


def working(providers: Iterable[Provider]) -> tuple[str, ...]:
    """Return the names of those *providers* whose check passes here; of the others, log why."""
    names = set()
    for provider in providers:
        try:
            provider.check()
        except ProviderUnavailableError as exc:
            logger.info("a provider is not announced", extra={"provider": provider.name, "reason": str(exc)})
        else:
            names.add(provider.name)
    return tuple(sorted(names))


def _load(entry: EntryPoint) -> Provider:
    try:
        made = entry.load()()
    # TypeError: a class that takes arguments.
    except (ImportError, AttributeError, TypeError) as exc:
        raise ProviderLoadError(entry.name, str(exc)) from exc
    # A runtime protocol checks names only, which is enough for a sentence that helps.
    if not isinstance(made, Provider):
        raise ProviderLoadError(entry.name, f"{type(made).__name__} has no name or no check()")
    return made
