"""Paging: the ``before`` of a page, as faces take it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from appdb import NotFoundError
from appserver.errors import FieldError
from appserver.http.problems import ProblemError


@contextmanager
def page_cursor() -> Iterator[None]:
    """Make of a ``NotFoundError`` in the block an error of the field ``before``.

    Raises:
        ProblemError: 422, the document that ``before`` names is gone or another user's.
    """
    try:
        yield
    except NotFoundError as exc:
        error = FieldError(field="before", message=f"{exc}; begin again without it")
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, f"before: {error.message}", errors=[error]) from exc
