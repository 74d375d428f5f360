"""The canonical form of JSON (RFC 8785), and the hash that names content by it."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import rfc8785

from appdb.errors import InvalidDataError

MAX_DEPTH = 64
"""How deep objects and lists may nest; the server stores at most about a hundred levels, what holds them included."""


def content_hash(content: Mapping[str, Any], *, field: str = "definition") -> str:
    """Return ``sha256:`` and the digest of *content*'s canonical form: the same content has the same hash everywhere.

    The order of keys does not count, and all else does: every key and value, their types, the order of lists. Numbers
    are those of JSON, as RFC 8785 has them: ``1`` and ``1.0`` are one number, and so are ``0`` and ``-0.0``.

    Args:
        content: A JSON object.
        field: What an error calls it.

    Raises:
        InvalidDataError: It is no JSON, or none that every reader gets back as it was: an integer beyond 2**53 - 1
            (write it as text), NaN, a lone surrogate, over 64 levels of nesting.
    """
    return f"sha256:{hashlib.sha256(canonical_json(content, field=field)).hexdigest()}"


def canonical_json(content: Mapping[str, Any], *, field: str) -> bytes:
    """Return *content* in the form of RFC 8785, as UTF-8.

    Raises:
        InvalidDataError: As ``content_hash`` has it.
    """
    check_shape(content, field=field)
    try:
        return rfc8785.dumps(dict(content))
    except (rfc8785.CanonicalizationError, UnicodeError) as exc:
        raise InvalidDataError(field, f"it is not canonical JSON: {exc}; write such a value as text") from exc


def check_shape(content: object, *, field: str) -> None:
    """Check that *content* is JSON, and comes back from the database as it was.

    Level by level, since a function call for each value would cost more than encoding them.

    Raises:
        InvalidDataError: It nests too deep, or holds what is no JSON, such as NaN or a time, or what readers take for a
            reference to another document.
    """
    level: list[Any] = [content]
    for depth in itertools.count(1):
        inner: list[Any] = []
        for value in level:
            if type(value) not in _PLAIN:
                inner += _parts(value, field)
        if not inner:
            return
        if depth == MAX_DEPTH and any(isinstance(value, Mapping | list | tuple) for value in inner):
            raise InvalidDataError(field, f"it nests deeper than {MAX_DEPTH} levels; make it flatter")
        level = inner


_PLAIN = frozenset({str, int, bool, type(None)})


def _parts(value: object, field: str) -> Iterable[object]:
    """Return what *value* holds; nothing for what is no container."""
    if isinstance(value, dict | Mapping):
        if "$ref" in value and isinstance(value["$ref"], str) and "$id" in value and value.get("$db", "") is None:
            # Drivers read this form as a DBRef, which does not tell a null from nothing.
            raise InvalidDataError(field, "beside $ref and $id, $db cannot be null; leave it out")
        return value.values()
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidDataError(field, f"it holds {value}, which JSON has no number for; write null or a text")
    if not isinstance(value, float | str | int):
        kind = type(value).__name__
        raise InvalidDataError(field, f"it holds a value of type {kind}; write JSON values only, such as text")
    return ()
