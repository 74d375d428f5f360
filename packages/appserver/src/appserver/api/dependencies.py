"""Dependencies of the JSON API alone."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Header, Request

from appserver.engine.definition.reading import repeated_keys
from appserver.errors import DefinitionError
from appserver.http.problems import ProblemError

JSON = "application/json"


def check_json(request: Request) -> None:
    """Check that the body is said to be JSON.

    Another site's form cannot say so, and its script only after a preflight.

    Raises:
        ProblemError: 415, the body is said to be something else, or nothing.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        said = f"it says {kind!r}" if kind else "it says nothing"
        detail = f"The body must be JSON, and {said}; send `Content-Type: {JSON}`."
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, headers={"Accept": JSON})


JsonDep = Annotated[None, Depends(check_json)]
"""Nothing; 415 when the body is not said to be JSON."""


async def check_definition_keys(request: Request) -> None:
    """Check that no key stands twice in the definition of the body; the reader of bodies keeps the last one silently.

    Raises:
        DefinitionError: Some do; all of them.
    """
    # In a thread: a large body takes a moment.
    if problems := await asyncio.to_thread(repeated_keys, await request.body(), "definition"):
        raise DefinitionError(problems)


IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="A second request with the same key returns the first one's task.",
    ),
]
