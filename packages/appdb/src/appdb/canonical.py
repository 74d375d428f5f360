"""The canonical form of JSON (RFC 8785), and the hash that names content by it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
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
    """Check that *content* comes back from the database as it was.

    Raises:
        InvalidDataError: It nests too deep, or holds what readers take for a reference to another document.
    """
    left: list[tuple[object, int]] = [(content, 1)]
    while left:
        value, depth = left.pop()
        if depth > MAX_DEPTH and isinstance(value, Mapping | list | tuple):
            raise InvalidDataError(field, f"it nests deeper than {MAX_DEPTH} levels; make it flatter")
        if isinstance(value, Mapping):
            if isinstance(value.get("$ref"), str) and "$id" in value and value.get("$db", "") is None:
                # Drivers read this form as a DBRef, which does not tell a null from nothing.
                raise InvalidDataError(field, "beside $ref and $id, $db cannot be null; leave it out")
            left += [(part, depth + 1) for part in value.values()]
        elif isinstance(value, list | tuple):
            left += [(part, depth + 1) for part in value]
