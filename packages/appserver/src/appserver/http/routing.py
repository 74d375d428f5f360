"""Routing: routes that answer HEAD wherever they answer GET (RFC 9110, section 9.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import APIRouter

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


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
