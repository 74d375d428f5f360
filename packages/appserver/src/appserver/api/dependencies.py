"""Dependencies of the JSON API alone."""

from __future__ import annotations

import asyncio
import json
import re
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Header, Request

from appserver.engine.definition.reading import repeated_keys
from appserver.errors import DefinitionError, FieldError
from appserver.http.problems import ProblemError
from appserver.values.storable import storage_errors

JSON = "application/json"
WHOLE_TEXTS = re.compile(
    rb"(?:[^\\]++|\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u(?![dD][89a-fA-F])|[^u]))*+",
    re.DOTALL,
)
"""A JSON text up to half of a surrogate pair, or to its end; in one pass, without going back."""


async def check_kind(request: Request) -> None:
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


async def check_json(request: Request) -> None:
    """Check that the body is said to be JSON, and that its texts are texts.

    Raises:
        ProblemError: As ``check_kind``; and 422, it holds half of a surrogate pair, which readers of JSON let through,
            and which can be neither stored nor sent.
    """
    await check_kind(request)
    raw = await request.body()
    if (whole := WHOLE_TEXTS.match(raw)) is None or whole.end() < len(raw):
        errors = [
            FieldError(field=".".join(map(str, each.path)) or "body", message=each.message)
            for each in storage_errors(json.loads(raw))
        ]
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "The body holds what is no text.", errors=errors)


JsonDep = Annotated[None, Depends(check_json)]
"""Nothing; 415 when the body is not said to be JSON, 422 when a text of it is none."""
DefinitionJsonDep = Annotated[None, Depends(check_kind)]
"""Nothing; 415 as above. What is no text in a definition is told with its place, beside all other problems of it."""


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
