"""Worker hosts: claim tasks, run actors, write content straight to the database."""

from __future__ import annotations

from appworker._version import __version__
from appworker.actors.base import Actor, ActorContext, actor
from appworker.errors import AppWorkerError, DiscardError, ProviderError, ProviderUnavailableError, TaskStoppedError

__all__ = [
    "Actor",
    "ActorContext",
    "AppWorkerError",
    "DiscardError",
    "ProviderError",
    "ProviderUnavailableError",
    "TaskStoppedError",
    "__version__",
    "actor",
]
