"""Routing: HEAD is answered wherever GET is, and a refused method hears of the others (RFC 9110, 9.1 and 10.2.1)."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Router(APIRouter):
    """FastAPI's router, which by itself answers HEAD with 405."""

    def get(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register an endpoint for GET, and for HEAD, which the description leaves out; the server sends no body."""
        documented = super().get(path, **options)
        twin = super().head(path, **{**options, "include_in_schema": False})

        def register(endpoint: Endpoint) -> Endpoint:
            twin(endpoint)
            return documented(endpoint)

        return register


def naming_all_methods(request: Request, exc: HTTPException) -> HTTPException:
    """Return *exc* as it is told: where the method was refused, ``Allow`` names those of all routes of the address.

    The framework names those of the first one alone.
    """
    if exc.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return exc
    routes = [route for route in request.app.routes if not isinstance(route, Mount)]
    asked = {**request.scope, "root_path": request.scope.get("app_root_path", "")}
    allowed = [
        method
        for method in METHODS
        if any(route.matches({**asked, "method": method})[0] is Match.FULL for route in routes)
    ]
    if not allowed:
        # A mounted application, which names its own.
        return exc
    return HTTPException(exc.status_code, exc.detail, {"Allow": ", ".join(allowed)})
