"""The errors that appdb raises on purpose, as one tree.

AppDbError
├── NotFoundError             an id was asked for, and its owner has no such document
├── ConflictError             the document is not in a state that allows the change
├── InvalidDataError          a value cannot be stored, or is not what the contract says
│   └── TooLargeError         a value is over the limit for its place
├── BudgetExceededError       a task may cost more than a budget has left
├── UnreadableError           a stored document is not what its model says
├── LeaseLostError            a worker reported on a task that it no longer holds
├── TokenReuseError           a refresh token was used again, so its session has ended
├── DatabaseUnavailableError  no primary answered in time; the outcome of a write is unknown
├── DatabaseRefusedError      the server answered, and refused
├── UnfitServerError          the server cannot hold the promises (standalone, too old)
├── ContractMismatchError     the database is older or newer than this code
├── MigrationError            a migration cannot run, or was changed after it ran
└── EmbeddedServerError       the embedded mongod cannot start
"""

from __future__ import annotations

from decimal import Decimal


class AppDbError(Exception):
    """The base of every error that appdb raises."""


class NotFoundError(AppDbError):
    """An id was asked for, and the owner has no document with it.

    Another owner's document gives the same error as a missing one.
    """

    def __init__(self, kind: str, document_id: str) -> None:
        super().__init__(kind, document_id)
        self.kind, self.document_id = kind, document_id

    def __str__(self) -> str:
        return f"there is no {self.kind} {self.document_id!r} that you can see; check the id"


class ConflictError(AppDbError):
    """The document exists, and its state does not allow the change.

    ``accepted`` is the id of the event that settled an interaction before, where that is why.
    """

    def __init__(self, kind: str, document_id: str, problem: str, *, accepted: str | None = None) -> None:
        super().__init__(kind, document_id, problem)
        self.kind, self.document_id, self.problem, self.accepted = kind, document_id, problem, accepted

    def __str__(self) -> str:
        return f"{self.kind} {self.document_id}: {self.problem}"


class InvalidDataError(AppDbError):
    """A value cannot be stored; nothing was written."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field, self.problem = field, problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class TooLargeError(InvalidDataError):
    """A value is over the limit for its place; nothing was written.

    ``size`` is ``None`` when the server refused a document without saying what it weighs.
    """

    def __init__(self, field: str, size: int | None, limit: int) -> None:
        weight = "it" if size is None else f"{size:,} bytes"
        super().__init__(field, f"{weight} is over the limit of {limit:,} bytes; store large data as content")
        self.args = (field, size, limit)
        self.size, self.limit = size, limit


class BudgetExceededError(AppDbError):
    """A task may cost more than a budget has left; nothing was enqueued. Amounts are in US dollars."""

    def __init__(self, scope: str, limit: Decimal, spent: Decimal, reserved: Decimal, asked: Decimal) -> None:
        super().__init__(scope, limit, spent, reserved, asked)
        self.scope, self.limit, self.spent, self.reserved, self.asked = scope, limit, spent, reserved, asked

    def __str__(self) -> str:
        return (
            f"budget {self.scope}: {self.asked} asked for, and of {self.limit} {self.spent} are spent and "
            f"{self.reserved} reserved; raise the limit, or wait until what runs has ended"
        )


class UnreadableError(AppDbError):
    """A stored document is not what its model says: other software wrote it, or it was damaged.

    Lists pass over such a document, and maintenance sets such a task aside. ``appdb check --documents`` lists all.
    """

    def __init__(self, kind: str, document_id: str, problem: str) -> None:
        super().__init__(kind, document_id, problem)
        self.kind, self.document_id, self.problem = kind, document_id, problem

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.document_id} cannot be read ({self.problem}); "
            "mend or delete it in the database: `appdb check --documents` lists all such documents"
        )


class LeaseLostError(AppDbError):
    """The worker reported on a task that it no longer holds; nothing was written.

    The task was cancelled, or its lease ran out and another worker may hold it. The worker must stop the attempt.
    """

    def __init__(self, task_id: str, attempt: int) -> None:
        super().__init__(task_id, attempt)
        self.task_id, self.attempt = task_id, attempt

    def __str__(self) -> str:
        return f"task {self.task_id}: attempt {self.attempt} no longer holds the lease; stop the attempt"


class TokenReuseError(AppDbError):
    """A refresh token was used again after its time: two parties held it, and neither copy is good any more.

    Tell the user of it, and let them sign in again.
    """

    def __init__(self, user_id: str, session_id: str) -> None:
        super().__init__(user_id, session_id)
        self.user_id, self.session_id = user_id, session_id

    def __str__(self) -> str:
        return f"session {self.session_id}: a refresh token of it was used twice, so it has ended; sign in again"


class DatabaseUnavailableError(AppDbError):
    """No primary answered in time. A write may have happened or not; every write here is safe to repeat."""

    def __init__(self, doing: str, problem: str) -> None:
        super().__init__(doing, problem)
        self.doing, self.problem = doing, problem

    def __str__(self) -> str:
        return f"{self.doing}: the database did not answer ({self.problem})"


class DatabaseRefusedError(AppDbError):
    """The server answered and refused: missing rights, a full disk, a command that it does not know."""

    def __init__(self, doing: str, problem: str) -> None:
        super().__init__(doing, problem)
        self.doing, self.problem = doing, problem

    def __str__(self) -> str:
        return f"{self.doing}: the database refused ({self.problem})"


class UnfitServerError(AppDbError):
    """The server cannot hold the promises; the message says what to change."""


class ContractMismatchError(AppDbError):
    """The database's contract is not the one that this code speaks; the message says what to run."""


class MigrationError(AppDbError):
    """A migration cannot run, or the record of an applied one disagrees with the code."""


class EmbeddedServerError(AppDbError):
    """The embedded mongod cannot start; the message says what is missing and what to do."""
