"""The errors that services of appserver raise on purpose.

AppServerError
├── ServerSettingsError      a setting is wrong or unknown
├── InvalidRequestError      fields of a request do not fit
│   ├── UnknownActorError    no worker announced the actor
│   ├── PayloadError         the payload does not fit its actor's schema
│   └── CursorError          the cursor of a stream is malformed, or of another log
├── DefinitionError          a definition of a workflow has problems
├── FillError                a reference of a definition cannot be filled
├── TooManyStreamsError      a user has too many open streams on this host
├── GuestsClosedError        this host takes no guests
└── TooManyGuestsError       too many guests came, from one address or in all

``appserver.http.problems`` alone knows the HTTP status of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict


class FieldError(BaseModel):
    """One field of a request that does not fit."""

    field: str
    message: str


class AppServerError(Exception):
    """The base of all errors of appserver."""


class ServerSettingsError(AppServerError):
    """A setting is wrong or unknown; the message names it."""


class InvalidRequestError(AppServerError):
    """Fields of a request do not fit; nothing was stored.

    ``errors`` names each of them.
    """

    errors: Sequence[FieldError] = ()

    def __str__(self) -> str:
        return "; ".join(f"{error.field}: {error.message}" for error in self.errors)


class UnknownActorError(InvalidRequestError):
    """No worker announced the actor.

    Args:
        name: The actor that was asked for.
        known: The actors that are announced.
    """

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(name, known)
        names = ", ".join(known) or "none: no worker has announced itself yet"
        self.errors = [FieldError(field="actor", message=f"there is no actor {name!r}; known are {names}")]


class PayloadError(InvalidRequestError):
    """The payload cannot be stored, or does not fit its actor's schema."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return f"The payload does not fit: {super().__str__()}"


class CursorError(InvalidRequestError):
    """The cursor of a stream is malformed, or names events that the log does not have.

    Args:
        field: The part of the request that holds the cursor.
        message: What is wrong, and what it must be.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.errors = [FieldError(field=field, message=message)]


class TooManyStreamsError(AppServerError):
    """A user has as many open streams on this host as one user may have.

    Args:
        limit: How many that is.
    """

    retry_after_seconds = 5

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"You have {self.limit} open streams, which is the most; close one."


class GuestsClosedError(AppServerError):
    """This host takes no guests."""

    def __str__(self) -> str:
        return "This host takes no guests; ask its operator for a key."


class TooManyGuestsError(AppServerError):
    """Too many guests came, from one address or in all; none was made.

    Args:
        reason: The limit that was reached.
        retry_after_seconds: When the next guest may come.
    """

    def __init__(self, reason: str, retry_after_seconds: int) -> None:
        super().__init__(reason, retry_after_seconds)
        self.reason, self.retry_after_seconds = reason, retry_after_seconds

    def __str__(self) -> str:
        return f"{self.reason}; keep the key that you have, or come back in {self.retry_after_seconds:,} s."


class DefinitionProblem(BaseModel):
    """One problem of a definition.

    Args:
        pointer: The JSON Pointer (RFC 6901) of the value; empty for the whole definition.
        code: The kind of problem, a word that stays.
        message: What is wrong.
        hint: What to do about it.
        severity: ``warning`` for what may be right elsewhere or at another time; only an ``error`` refuses.
    """

    model_config = ConfigDict(frozen=True)

    pointer: str
    code: str
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.pointer}: {self.code}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class DefinitionError(AppServerError):
    """A definition has problems; nothing was stored.

    Args:
        problems: All of them, in the order of their places; warnings included.
    """

    def __init__(self, problems: Sequence[DefinitionProblem]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "The definition has problems: " + "; ".join(map(str, self.problems))


class FillError(AppServerError):
    """A value of a definition cannot be filled.

    Args:
        pointer: The JSON Pointer of the value that is filled, from what was given to fill.
        path: The path that it refers to; empty when the reference itself is malformed.
        problem: What is wrong.
    """

    def __init__(self, pointer: str, path: str, problem: str) -> None:
        super().__init__(pointer, path, problem)
        self.pointer, self.path, self.problem = pointer, path, problem

    def __str__(self) -> str:
        return f"{self.pointer or 'the value'} cannot be filled: {self.problem}"
