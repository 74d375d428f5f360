"""Whether a payload can be stored and fits its actor's schema; what does not, is named by its path."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from pydantic import JsonValue
from referencing import Registry

from appserver.errors import FieldError

MAX_MESSAGE = 200
MAX_ERRORS = 20
MAX_DEPTH = 64
"""Levels of a payload; MongoDB refuses documents far deeper than any sensible payload."""
MAX_INTEGER = 2**63


def payload_errors(schema: dict[str, Any], payload: dict[str, JsonValue]) -> list[FieldError]:
    """Return what does not fit, at most 20 errors; the schema is asked only about what can be stored at all."""
    unstorable = list(islice(_unstorable(payload, ("payload",)), MAX_ERRORS))
    if unstorable:
        return unstorable
    # An empty registry: a reference in a schema must never be fetched from anywhere.
    validator = Draft202012Validator(schema, registry=Registry())
    found = islice(validator.iter_errors(payload), MAX_ERRORS)
    return [FieldError(field=_path(error), message=_message(error)) for error in found]


def _unstorable(value: JsonValue, path: tuple[str, ...]) -> Iterator[FieldError]:
    if len(path) > MAX_DEPTH:
        yield _error(path[:3], f"it is nested more than {MAX_DEPTH} levels deep")
    elif isinstance(value, dict):
        for name, inner in value.items():
            if "\0" in name or not _is_text(name):
                yield _error(path, "the name of a field holds a NUL or half of a surrogate pair")
            else:
                yield from _unstorable(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unstorable(inner, (*path, str(index)))
    elif problem := _problem_of(value):
        yield _error(path, problem)


def _problem_of(value: JsonValue) -> str | None:
    match value:
        case str() if not _is_text(value):
            return "it holds half of a surrogate pair, which is no character"
        case float() if not math.isfinite(value):
            return "it must be a finite number"
        case int() if not -MAX_INTEGER <= value < MAX_INTEGER:
            return "it must fit into 64 bits"
        case _:
            return None


def _error(path: Iterable[str], message: str) -> FieldError:
    return FieldError(field=".".join(path), message=message)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(error: ValidationError) -> str:
    parts = ["payload", *map(str, error.absolute_path)]
    if error.validator == "required":
        # One error for each missing field, and only its text tells which.
        needed: Any = error.validator_value
        parts += [name for name in needed if error.message.startswith(repr(name))][:1]
    return ".".join(parts)


def _message(error: ValidationError) -> str:
    limit: Any = error.validator_value
    given: Any = error.instance
    match error.validator:
        case "maxLength":
            return f"it has {len(given):,} characters; at most {limit:,} are allowed"
        case "minLength":
            return f"it has {len(given):,} characters; at least {limit:,} are needed"
        case "pattern":
            return "it is empty, or not of the form that is asked for"
        case "required":
            return "it is missing"
        case "const" | "enum":
            return f"it must be {limit!r}" if error.validator == "const" else f"it must be one of {limit!r}"
        case _:
            return _other_message(error)


def _other_message(error: ValidationError) -> str:
    # Of alternatives such as "a short text, or null", the one whose type fits says what is wrong.
    near = [inner for inner in error.context or () if inner.validator != "type"]
    if near:
        return _message(near[0])
    return error.message if len(error.message) <= MAX_MESSAGE else f"{error.message[:MAX_MESSAGE]}…"
