"""The errors that services of appserver raise on purpose.

AppServerError
├── ServerSettingsError      a setting is wrong or unknown
├── InvalidRequestError      fields of a request do not fit
│   ├── UnknownActorError    no worker announced the actor
│   ├── PayloadError         the payload does not fit its actor's schema
│   ├── CursorError          the cursor of a stream is malformed, or of another log
│   └── InvalidAnswerError   an answer, or what a run is asked to begin with, does not fit; the question stays open
├── DefinitionError          a definition of a workflow has problems
├── FillError                a reference of a definition cannot be filled
├── RunConflictError         a run is not where the caller takes it to be
│   ├── QuestionClosedError  a question is answered, expired, or undone
│   ├── RunEndedError        the run has ended
│   ├── ActionRefusedError   what a person asks for cannot be done now
│   ├── RunOpenError         the project has an open run already
│   ├── TooManyWaitingError  as many runs wait in the project as may
│   ├── NoWorkflowRunError   the run follows no workflow
│   ├── LinkRefusedError     a question is not to be answered by link
│   ├── RunMovedError        the run has other events than the caller knows
│   └── RunBusyError         others changed the run all the time
├── FileTooLargeError        an uploaded file is too large
├── FileRefusedError         an uploaded file is not what was asked for
├── UploadStalledError       nothing came of an upload for too long
├── TooManyStreamsError      a user has too many open streams on this host
├── GuestsClosedError        this host takes no guests
└── TooManyGuestsError       too many guests came, from one address or in all

``appserver.http.problems`` alone knows the HTTP status of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue


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


class InvalidAnswerError(InvalidRequestError):
    """An answer does not fit its question, an input its schema, or a message the log; nothing was stored.

    A question stays open.

    Args:
        errors: Each misfit, with the JSON Pointer of the value as its field.
    """

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(errors)
        self.errors = errors


class RunConflictError(AppServerError):
    """A run is not where the caller takes it to be."""

    @property
    def facts(self) -> Mapping[str, JsonValue]:
        """What a program needs to go on."""
        return {}


class AcceptedAnswer(BaseModel):
    """The answer that a question got."""

    response: JsonValue
    by: str
    at: datetime


class QuestionClosedError(RunConflictError):
    """A question takes no answer any more.

    Args:
        interaction_id: The question.
        reason: Why: ``answered`` otherwise, ``expired``, or ``undone`` by going back, a cancel or an end.
        accepted: The answer that it got, or the default that counted when it expired.
    """

    def __init__(
        self,
        interaction_id: str,
        reason: Literal["answered", "expired", "undone"],
        accepted: AcceptedAnswer | None = None,
    ) -> None:
        super().__init__(interaction_id, reason, accepted)
        self.interaction_id, self.reason, self.accepted = interaction_id, reason, accepted

    @property
    def facts(self) -> Mapping[str, JsonValue]:
        """Why it is closed, and the answer that counts."""
        accepted = None if self.accepted is None else self.accepted.model_dump(mode="json")
        return {"code": self.reason, "interaction_id": self.interaction_id, "accepted": accepted}

    def __str__(self) -> str:
        words = {
            "answered": "has another answer already",
            "expired": "has expired",
            "undone": "is not asked any more",
        }
        return f"Question {self.interaction_id} {words[self.reason]}; look at the run for what is asked now."


class RunEndedError(RunConflictError):
    """The run has ended, and what was asked for needs one that goes on.

    Args:
        run_id: The run.
        status: How it has ended.
    """

    def __init__(self, run_id: str, status: str) -> None:
        super().__init__(run_id, status)
        self.run_id, self.status = run_id, status

    @property
    def facts(self) -> Mapping[str, JsonValue]:
        """How it has ended."""
        return {"code": "ended", "run_id": self.run_id, "status": self.status}

    def __str__(self) -> str:
        return f"Run {self.run_id} is {self.status}; retry a module, or go back in it, first."


class InboxFullError(RunConflictError):
    """The run keeps as many messages as it may that it has not waited for yet.

    Args:
        run_id: The run.
        kept: How many it keeps.
    """

    def __init__(self, run_id: str, kept: int) -> None:
        super().__init__(run_id, kept)
        self.run_id, self.kept = run_id, kept

    @property
    def facts(self) -> Mapping[str, JsonValue]:
        """How many it keeps."""
        return {"code": "inbox_full", "run_id": self.run_id, "kept": self.kept}

    def __str__(self) -> str:
        return f"Run {self.run_id} keeps {self.kept} messages already; send more once it has waited for some."


class RunOpenError(RunConflictError):
    """The project has an open run already.

    Args:
        run_id: That run.
        project: The project.
    """

    def __init__(self, run_id: str, project: str) -> None:
        super().__init__(run_id, project)
        self.run_id, self.project = run_id, project

    @property
    def facts(self) -> Mapping[str, JsonValue]:
        """The open run."""
        return {"code": "open", "run_id": self.run_id}

    def __str__(self) -> str:
        return (
            f"Project {self.project!r} has the open run {self.run_id}; go on with it, or start with "
            "`when_open` as `enqueue` or `cancel_and_start`."
        )


class TooManyWaitingError(RunConflictError):
    """As many runs wait in the project as may.

    Args:
        project: The project.
        problem: How many runs wait, and what can be done.
    """

    def __init__(self, project: str, problem: str) -> None:
        super().__init__(project, problem)
        self.project, self.problem = project, problem

    @property
    def facts(self) -> Mapping[str, JsonValue]:
        """The project."""
        return {"code": "too_many_waiting", "project": self.project}

    def __str__(self) -> str:
        return f"Project {self.project!r} takes no more starts: {self.problem}."


class ActionRefusedError(RunConflictError):
    """A sub-action or a way back that a person asks for cannot be done now.

    Args:
        action: Its name.
        reason: Why.
    """

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(action, reason)
        self.action, self.reason = action, reason

    @property
    def facts(self) -> Mapping[str, JsonValue]:
        """What was asked for."""
        return {"code": "action_refused", "action": self.action}

    def __str__(self) -> str:
        return f"{self.action} cannot be done: {self.reason}."


class NoWorkflowRunError(RunConflictError):
    """The run follows no version of a workflow, so the engine cannot go on with it.

    Args:
        run_id: The run.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    @property
    def facts(self) -> Mapping[str, JsonValue]:
        """The run."""
        return {"code": "no_workflow", "run_id": self.run_id}

    def __str__(self) -> str:
        return f"Run {self.run_id} follows no version of a workflow; it was not started as one."


class LinkRefusedError(RunConflictError):
    """A question is not to be answered by link.

    Args:
        interaction_id: The question.
    """

    def __init__(self, interaction_id: str) -> None:
        super().__init__(interaction_id)
        self.interaction_id = interaction_id

    @property
    def facts(self) -> Mapping[str, JsonValue]:
        """The question."""
        return {"code": "link_refused", "interaction_id": self.interaction_id}

    def __str__(self) -> str:
        return f"Question {self.interaction_id} is for the run's owner alone; its workflow does not allow links."


class FileTooLargeError(AppServerError):
    """An uploaded file is too large; nothing was stored.

    Args:
        most: The most bytes that are taken.
    """

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most

    def __str__(self) -> str:
        return f"The file is too large; at most {self.most:,} bytes are taken. Nothing was stored."


class FileRefusedError(AppServerError):
    """An uploaded file is not what its question asks for; nothing was stored.

    Args:
        problem: What it is instead.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"The file does not fit: {self.problem}. Nothing was stored."


class UploadStalledError(AppServerError):
    """Nothing came of an upload for too long; nothing was stored.

    Args:
        seconds: How long that was.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"Nothing came for {self.seconds} s; send the file again. Nothing was stored."


class RunMovedError(RunConflictError):
    """The run has other events than the caller knows; nothing was written.

    Args:
        run_id: The run.
        last_seq: The number of its newest event.
    """

    def __init__(self, run_id: str, last_seq: int) -> None:
        super().__init__(run_id, last_seq)
        self.run_id, self.last_seq = run_id, last_seq

    @property
    def facts(self) -> Mapping[str, JsonValue]:
        """The newest event."""
        return {"code": "moved", "run_id": self.run_id, "last_seq": self.last_seq}

    def __str__(self) -> str:
        return f"Run {self.run_id} has moved on to event {self.last_seq}; look at it, and ask again."


class RunBusyError(RunConflictError):
    """Others changed the run all the time, and nothing was written.

    Args:
        run_id: The run.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id

    @property
    def facts(self) -> Mapping[str, JsonValue]:
        """The run."""
        return {"code": "busy", "run_id": self.run_id}

    def __str__(self) -> str:
        return f"Others change run {self.run_id} all the time; try again."
