"""The errors of a worker host.

AppWorkerError
├── ProviderError             a provider could not make the thing; another attempt may
├── ProviderUnavailableError  an extra or a library that the provider needs is not installed here
├── DiscardError              retrying cannot help: the task fails at once
├── TaskStoppedError          the attempt must end: cancelled, lease lost, out of time, or the host drains
└── ActorLoadError            an actor that was asked for cannot be loaded
"""

from __future__ import annotations


class AppWorkerError(Exception):
    """The base of every error that appworker raises."""


class ProviderError(AppWorkerError):
    """A provider could not make the thing; the attempt fails, and the task is tried again."""


class ProviderUnavailableError(AppWorkerError):
    """An extra or a library that the provider needs is not installed on this host."""

    def __init__(self, provider: str, reason: str, remedy: str) -> None:
        super().__init__(provider, reason, remedy)
        self.provider, self.reason, self.remedy = provider, reason, remedy

    def __str__(self) -> str:
        return f"{self.provider} cannot work on this host: {self.reason}; {self.remedy}"


class DiscardError(AppWorkerError):
    """Retrying cannot help: the task fails at once, and its owner reads *reason*."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TaskStoppedError(AppWorkerError):
    """The attempt must end now. An actor lets it pass, after it has closed what it opened."""

    def __init__(self, task_id: str, reason: str) -> None:
        super().__init__(task_id, reason)
        self.task_id, self.reason = task_id, reason

    def __str__(self) -> str:
        return f"task {self.task_id}: stop, {self.reason}"


class ActorLoadError(AppWorkerError):
    """An actor that was asked for cannot be loaded."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"actor {self.name!r} cannot be loaded: {self.reason}"
