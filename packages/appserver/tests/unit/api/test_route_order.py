"""The order of routes is one of speed alone: no route stands in the way of another one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from starlette.routing import compile_path

from appserver.api.app import create_app
from appserver.settings import load_settings


def routes_of(router: Any) -> Iterator[tuple[frozenset[str], str]]:
    """Yield methods and path of each route, in the order in which they are tried."""
    for route in router.routes:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from routes_of(included)
        elif methods := getattr(route, "methods", None):
            yield frozenset(methods), route.path


def test_no_route_hides_another() -> None:
    app = create_app(load_settings(mongo_uri="mongodb://127.0.0.1:1/", mongo_database="none"))
    routes = list(routes_of(app.router))
    hidden = [
        (path, earlier)
        for place, (methods, path) in enumerate(routes)
        for before, earlier in routes[:place]
        if methods & before and compile_path(earlier)[0].match(re.sub(r"\{[^}]*\}", "x", path))
    ]

    assert len(routes) > 90
    assert hidden == []
