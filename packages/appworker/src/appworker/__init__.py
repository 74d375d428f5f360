"""Worker hosts: claim tasks, run actors, and write their content to the database."""

from __future__ import annotations

from appworker._version import __version__
from appworker.actors.base import Actor, actor
from appworker.actors.contexts import ActorContext, SyncContext
from appworker.actors.retry import RetryPolicy
from appworker.errors import (
    AppWorkerError,
    DiscardError,
    ProviderError,
    ProviderUnavailableError,
    RetryLaterError,
    TaskStoppedError,
)

__all__ = [
    "Actor",
    "ActorContext",
    "AppWorkerError",
    "DiscardError",
    "ProviderError",
    "ProviderUnavailableError",
    "RetryLaterError",
    "RetryPolicy",
    "SyncContext",
    "TaskStoppedError",
    "__version__",
    "actor",
]
