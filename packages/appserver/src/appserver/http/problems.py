"""Problems: errors as RFC 9457 problem details, with the one table from domain errors to HTTP statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, JsonValue

from appdb import (
    AppDbError,
    BudgetExceededError,
    ConflictError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    InvalidDataError,
    NotFoundError,
    TooLargeError,
    UnreadableError,
)
from appserver.errors import (
    AppServerError,
    DefinitionError,
    FieldError,
    FileRefusedError,
    FileTooLargeError,
    GuestsClosedError,
    InvalidRequestError,
    RunConflictError,
    TooManyGuestsError,
    TooManyStreamsError,
    UploadStalledError,
)

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 2
"""The ``Retry-After`` of an answer while the database does not answer."""

DomainError = AppDbError | AppServerError
"""The errors of services and of appdb; faces know no others."""


class Problem(BaseModel):
    """An RFC 9457 problem; ``errors`` names the fields where the request itself is at fault."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] = Field(default_factory=list)
    facts: dict[str, JsonValue] | None = None
    """What a program needs to go on, such as the answer that a question got: ``code`` and more."""


class ProblemError(Exception):
    """A request that cannot be answered as asked."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        facts: Mapping[str, JsonValue] | None = None,
    ) -> None:
        super().__init__(status, detail)
        self.status, self.detail = status, detail
        self.errors, self.headers = list(errors), dict(headers or {})
        self.facts = None if facts is None else dict(facts)


# The first class that fits decides, so TooLargeError stands before InvalidDataError, its base. An error that is not
# here is our own fault.
STATUS: tuple[tuple[type[DomainError], HTTPStatus], ...] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (BudgetExceededError, HTTPStatus.PAYMENT_REQUIRED),
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidDataError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InvalidRequestError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (DefinitionError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (RunConflictError, HTTPStatus.CONFLICT),
    (FileTooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (FileRefusedError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (UploadStalledError, HTTPStatus.REQUEST_TIMEOUT),
    (TooManyStreamsError, HTTPStatus.TOO_MANY_REQUESTS),
    (TooManyGuestsError, HTTPStatus.TOO_MANY_REQUESTS),
    (GuestsClosedError, HTTPStatus.FORBIDDEN),
    (DatabaseUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseRefusedError, HTTPStatus.SERVICE_UNAVAILABLE),
)
UNREADABLE = "What is stored here cannot be read. Trying again does not help: tell the operator, whose log names it."
GENERIC_DATABASE_DETAIL = "The database cannot answer now. Nothing is lost; try again."
NOT_JSON = "it is not valid JSON; send a JSON object in UTF-8"
NOT_READ = "it is nested too deeply, has a number of thousands of digits, or is not UTF-8; send less of it, or texts"


def as_problem(exc: DomainError) -> ProblemError:
    """Return the HTTP form of a domain error; the parts that only operators may read are left out."""
    if isinstance(exc, ConflictError) and exc.kind == "unique key":
        error = FieldError(field="Idempotency-Key", message=exc.problem)
        return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(exc), errors=[error])
    if isinstance(exc, UnreadableError):
        return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, UNREADABLE)
    status = next((status for kind, status in STATUS if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # The driver's text holds addresses and names of hosts.
        return ProblemError(status, GENERIC_DATABASE_DETAIL, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    return ProblemError(status, str(exc), errors=_fields_of(exc), headers=_headers_of(exc), facts=_facts_of(exc))


def _fields_of(exc: DomainError) -> Sequence[FieldError]:
    match exc:
        case InvalidDataError():
            return [FieldError(field=exc.field, message=exc.problem)]
        case InvalidRequestError():
            return exc.errors
        case DefinitionError():
            return [FieldError(field=f"/definition{one.pointer}", message=one.message) for one in exc.problems]
        case _:
            return ()


def _facts_of(exc: DomainError) -> Mapping[str, JsonValue] | None:
    match exc:
        case RunConflictError():
            return exc.facts
        case DefinitionError():
            return {"code": "definition", "problems": [one.model_dump(mode="json") for one in exc.problems]}
        case BudgetExceededError():
            amounts = {"limit": exc.limit, "spent": exc.spent, "reserved": exc.reserved, "asked": exc.asked}
            # As text, since a number would be read as a binary fraction.
            return {"code": "budget_exceeded", "scope": exc.scope, **{name: str(one) for name, one in amounts.items()}}
        case _:
            return None


def _headers_of(exc: DomainError) -> dict[str, str]:
    match exc:
        case TooManyStreamsError() | TooManyGuestsError():
            return {"Retry-After": str(exc.retry_after_seconds)}
        case _:
            return {}


def as_misfit(exc: RequestValidationError) -> ProblemError:
    """Return the problem of a request that does not fit its route."""
    if any(error["type"] == "json_invalid" for error in exc.errors()):
        return bad_body(NOT_JSON)
    errors = [FieldError(field=_field(error["loc"]), message=error["msg"]) for error in exc.errors()]
    detail = "The request does not fit: " + "; ".join(f"{error.field}: {error.message}" for error in errors)
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def bad_body(message: str) -> ProblemError:
    """Return the problem of a body that cannot be read at all."""
    return ProblemError(HTTPStatus.BAD_REQUEST, f"body: {message}", errors=[FieldError(field="body", message=message)])


def _field(location: Sequence[int | str]) -> str:
    # FastAPI begins with where the value was: body, query, path, header.
    return ".".join(str(part) for part in location[1:]) or str(location[0])
