"""Error handlers: every error of the application becomes a problem, and a line in the log where it is ours."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from appdb import AppDbError, UnreadableError
from appserver.errors import AppServerError
from appserver.http.problems import NOT_READ, PROBLEM_JSON, Problem, ProblemError, as_misfit, as_problem, bad_body

logger = logging.getLogger(__name__)


def install_error_handlers(app: FastAPI) -> None:
    """Make every error of *app* a problem; those of the framework itself are left to ``http_error_response``."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(AppDbError, _on_domain_error)
    app.add_exception_handler(AppServerError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)


async def http_error_response(request: Request, exc: HTTPException) -> JSONResponse:
    """Return the problem for an error that the framework raised, such as an address without a route."""
    if isinstance(exc.__cause__, RecursionError | ValueError):
        # Python's reader of JSON gave up, and the framework's words do not say why.
        return _response(request, bad_body(NOT_READ))
    problem = ProblemError(HTTPStatus(exc.status_code), str(exc.detail), headers=exc.headers)
    return _response(request, problem)


def unexpected_error_response(request: Request, exc: Exception) -> JSONResponse:
    """Return the answer to a request that failed by our own fault, and log why."""
    # The answer tells nothing of the exception, which may hold addresses, keys or other people's data.
    logger.error("a request failed by our own fault", extra={"path": request.url.path}, exc_info=exc)
    detail = "This host made a mistake, which is in its logs. Nothing is lost; try again."
    return _response(request, ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, detail))


def _response(request: Request, problem: ProblemError) -> JSONResponse:
    body = Problem(
        title=problem.status.phrase,
        status=problem.status,
        detail=problem.detail,
        instance=request.url.path,
        errors=problem.errors,
        facts=problem.facts,
    )
    # Only where there are some: most problems have none.
    left_out = {"facts"} if body.facts is None else None
    return JSONResponse(body.model_dump(exclude=left_out), problem.status, problem.headers, media_type=PROBLEM_JSON)


# FastAPI types every handler as one of ``Exception``, so each of these narrows the type by itself.
async def _on_problem(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, ProblemError):
        raise exc
    return _response(request, exc)


async def _on_domain_error(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, AppDbError | AppServerError):
        raise exc
    problem = as_problem(exc)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        unreadable = isinstance(exc, UnreadableError)
        failed = "a request met what cannot be read" if unreadable else "the database did not answer a request"
        logger.error(failed, extra={"path": request.url.path, "error": str(exc)})
    return _response(request, problem)


async def _on_validation_error(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(exc, RequestValidationError):
        raise exc
    return _response(request, as_misfit(exc))
