"""The page of the API's description."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from appserver.http.routing import Router
from appserver.web.rendering import PageRoute, templates

router = Router(include_in_schema=False, route_class=PageRoute)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Show the API's description."""
    return templates.TemplateResponse(request, "docs.html")
