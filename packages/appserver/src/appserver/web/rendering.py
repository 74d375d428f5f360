"""Rendering: the templates, and routes that answer problems with a page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException

from appdb import AppDbError
from appserver.errors import AppServerError
from appserver.http.error_handlers import http_error_response
from appserver.http.problems import ProblemError, as_misfit, as_problem
from appserver.http.routing import naming_all_methods
from appserver.web.formats import clock_of
from appserver.web.texts import EXPLAINED, NO_PAGE

logger = logging.getLogger(__name__)

_environment = Environment(
    loader=PackageLoader("appserver.web"),
    autoescape=select_autoescape(default=True),
    # A misspelt name in a template is an error, not an empty text.
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals |= {"clock_of": clock_of}
templates = Jinja2Templates(env=_environment)


class PageRoute(APIRoute):
    """A route for people: a problem is answered with a page, not with a JSON document."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, with problems turned into pages."""
        handle = super().get_route_handler()

        # Around the route: an exception handler answers for all routes, and those of the API answer with JSON.
        async def handle_or_explain(request: Request) -> Response:
            try:
                return await handle(request)
            except ProblemError as exc:
                return _explanation(request, exc)
            except RequestValidationError as exc:
                return _explanation(request, as_misfit(exc))
            except (AppDbError, AppServerError) as exc:
                problem = as_problem(exc)
                if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    logger.exception("the database did not answer a page", extra={"path": request.url.path})
                return _explanation(request, problem)

        return handle_or_explain


def install_error_pages(app: FastAPI) -> None:
    """Answer what has no route with a page where a person asks, and with a problem where a program does."""

    async def explain_or_answer(request: Request, exc: Exception) -> Response:
        if not isinstance(exc, HTTPException):
            raise exc
        exc = naming_all_methods(request, exc)
        # Browsers ask for text/html when a person opens an address; programs and scripts do not.
        if "text/html" not in request.headers.get("accept", ""):
            return await http_error_response(request, exc)
        text = NO_PAGE if exc.status_code == HTTPStatus.NOT_FOUND else str(exc.detail)
        context = {"title": HTTPStatus(exc.status_code).phrase, "text": text}
        return templates.TemplateResponse(request, "problem.html", context, exc.status_code, exc.headers)

    app.add_exception_handler(HTTPException, explain_or_answer)


def _explanation(request: Request, problem: ProblemError) -> Response:
    context = {"title": problem.status.phrase, "text": EXPLAINED.get(problem.status, problem.detail)}
    return templates.TemplateResponse(request, "problem.html", context, problem.status, problem.headers)
