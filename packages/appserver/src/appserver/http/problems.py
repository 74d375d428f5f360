"""Errors as RFC 9457 problem details: one table from domain errors to HTTP, and the handlers that use it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from appdb import (
    AppDbError,
    ConflictError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    InvalidDataError,
    NotFoundError,
    TooLargeError,
    UnreadableError,
)

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 2


class FieldError(BaseModel):
    """One field of the request that does not fit."""

    field: str
    message: str


class Problem(BaseModel):
    """An RFC 9457 problem; ``errors`` names the fields where the request itself is at fault."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] = Field(default_factory=list)


class ProblemError(Exception):
    """A request that cannot be answered as asked."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail)
        self.status, self.detail = status, detail
        self.errors, self.headers = list(errors), dict(headers or {})


# The first class that fits decides; what is not here is our own fault.
STATUS: tuple[tuple[type[AppDbError], HTTPStatus], ...] = (
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidDataError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (DatabaseUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseRefusedError, HTTPStatus.SERVICE_UNAVAILABLE),
)
UNREADABLE = "What is stored here cannot be read. Trying again does not help: tell the operator, whose log names it."
NOT_JSON = "it is not valid JSON; send a JSON object in UTF-8"
NOT_READ = "it is nested too deeply, has a number of thousands of digits, or is not UTF-8; send less of it, or texts"
HIDDEN = "The database cannot answer now. Nothing is lost; try again."


def install_handlers(app: FastAPI) -> None:
    """Make every error of *app* a problem; those of the framework itself are ``answer_http_error``'s."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(AppDbError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)


def as_problem(exc: AppDbError) -> ProblemError:
    """Return the HTTP form of a domain error; what only operators may read is left out."""
    if isinstance(exc, ConflictError) and exc.kind == "unique key":
        error = FieldError(field="Idempotency-Key", message=exc.problem)
        return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(exc), errors=[error])
    if isinstance(exc, UnreadableError):
        return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, UNREADABLE)
    status = next((status for kind, status in STATUS if isinstance(exc, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProblemError(status, HIDDEN, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    errors = [FieldError(field=exc.field, message=exc.problem)] if isinstance(exc, InvalidDataError) else []
    return ProblemError(status, str(exc), errors=errors)


@contextmanager
def cursor_of_a_page() -> Iterator[None]:
    """Make of what is not found in the block, which is the ``before`` of a page, an error of that field."""
    try:
        yield
    except NotFoundError as exc:
        error = FieldError(field="before", message=f"{exc}; begin again without it")
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"before: {error.message}", errors=[error]) from exc


def _answer(request: Request, problem: ProblemError) -> JSONResponse:
    body = Problem(
        title=problem.status.phrase,
        status=problem.status,
        detail=problem.detail,
        instance=request.url.path,
        errors=problem.errors,
    )
    return JSONResponse(body.model_dump(), problem.status, problem.headers, media_type=PROBLEM_JSON)


async def _on_problem(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, ProblemError):
        raise exc
    return _answer(request, exc)


async def _on_domain_error(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, AppDbError):
        raise exc
    problem = as_problem(exc)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        unreadable = isinstance(exc, UnreadableError)
        failed = "a request met what cannot be read" if unreadable else "the database did not answer a request"
        logger.error(failed, extra={"path": request.url.path, "error": str(exc)})
    return _answer(request, problem)


async def _on_validation_error(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, RequestValidationError):
        raise exc
    return _answer(request, as_misfit(exc))


def as_misfit(exc: RequestValidationError) -> ProblemError:
    """Return the problem of a request that does not fit its route."""
    if any(error["type"] == "json_invalid" for error in exc.errors()):
        return _bad_body(NOT_JSON)
    errors = [FieldError(field=_field(error["loc"]), message=error["msg"]) for error in exc.errors()]
    detail = "The request does not fit: " + "; ".join(f"{error.field}: {error.message}" for error in errors)
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def _bad_body(message: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, f"body: {message}", errors=[FieldError(field="body", message=message)])


def _field(location: Sequence[int | str]) -> str:
    # FastAPI begins with where the value was: body, query, path, header.
    return ".".join(str(part) for part in location[1:]) or str(location[0])


async def answer_http_error(request: Request, exc: HTTPException) -> JSONResponse:
    """Return what the framework refused, such as an address without a route, as a problem."""
    if isinstance(exc.__cause__, RecursionError | ValueError):
        # Python's reader of JSON gave up, and the framework's words do not say why.
        return _answer(request, _bad_body(NOT_READ))
    problem = ProblemError(HTTPStatus(exc.status_code), str(exc.detail), headers=exc.headers)
    return _answer(request, problem)


def answer_surprise(request: Request, exc: Exception) -> JSONResponse:
    """Return the answer to a request that failed by our own fault, and log why."""
    logger.error("a request failed by our own fault", extra={"path": request.url.path}, exc_info=exc)
    detail = "This host made a mistake, which is in its logs. Nothing is lost; try again."
    return _answer(request, ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, detail))
