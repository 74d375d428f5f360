"""The errors of a worker host.

AppWorkerError
├── ProviderError             a provider could not make the thing; another attempt may
├── ProviderUnavailableError  an extra or a library that the provider needs is not installed here
├── DiscardError              retrying cannot help: the task fails at once
├── RetryLaterError           the attempt fails; the next one begins after a pause that the actor knows
├── InvalidPayloadError       the task's payload does not fit the actor
├── InvalidResultError        the actor returned no JSON object
├── TaskStoppedError          the attempt must end: cancelled, lease lost, out of time, or the host drains
├── SuspendedError            the attempt ends here until its children are final; raised by ``join`` alone
└── ActorLoadError            an actor that was asked for cannot be loaded
"""

from __future__ import annotations

from datetime import timedelta

from appdb.models import MAX_DURATION


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


class RetryLaterError(AppWorkerError):
    """The attempt fails, and the next one begins no earlier than *after* from now: a provider said when to come back.

    It counts as an attempt.

    Args:
        reason: Why, for the owner.
        after: The pause, in place of the one that the actor's ``RetryPolicy`` gives.

    Raises:
        ValueError: The pause is negative, or longer than a hundred years.
    """

    def __init__(self, reason: str, after: timedelta) -> None:
        if not timedelta(0) <= after <= MAX_DURATION:
            raise ValueError(f"after is {after}; a pause cannot be negative, nor longer than {MAX_DURATION.days} days")
        super().__init__(reason, after)
        self.reason, self.after = reason, after

    def __str__(self) -> str:
        return f"{self.reason} (again in {self.after.total_seconds():g} s)"


class InvalidPayloadError(AppWorkerError):
    """The payload does not fit the actor; the message names each field that is wrong."""


class InvalidResultError(AppWorkerError):
    """An actor returned something that cannot be a task's result; the message says what can."""


class TaskStoppedError(AppWorkerError):
    """The attempt must end now. An actor lets it pass, after it has closed what it opened."""

    def __init__(self, task_id: str, reason: str) -> None:
        super().__init__(task_id, reason)
        self.task_id, self.reason = task_id, reason

    def __str__(self) -> str:
        return f"task {self.task_id}: stop, {self.reason}"


class SuspendedError(AppWorkerError):
    """The attempt ends here until the task's children are final. An actor lets it pass."""


class ActorLoadError(AppWorkerError):
    """An actor that was asked for cannot be loaded."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"actor {self.name!r} cannot be loaded: {self.reason}"
