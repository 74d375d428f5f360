"""Errors of JSON Schema in plain words: where a value does not fit, and what would be right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from jsonschema_rs import ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from appserver.values.storable import Misfit

MAX_MESSAGE = 200
ALTERNATIVES = (Kind.AnyOf, Kind.OneOfNotValid)


def told_errors(errors: Iterable[ValidationError], limit: int) -> list[Misfit]:
    """Return the errors of a validator in plain words, at most *limit*."""
    return [_told(error) for error in islice(chain.from_iterable(map(_single, errors)), limit)]


def _single(error: ValidationError) -> Iterator[ValidationError]:
    """Yield the errors of the alternative whose type fits: of "a short text, or null", that the text is too long."""
    if not isinstance(error.kind, ALTERNATIVES):
        yield error
        return
    fitting = [branch for branch in error.kind.context if not any(_is_other_type(inner, error) for inner in branch)]
    if not fitting:
        yield error
    else:
        yield from chain.from_iterable(map(_single, fitting[0]))


def _is_other_type(inner: ValidationError, outer: ValidationError) -> bool:
    return isinstance(inner.kind, Kind.Type) and inner.instance_path == outer.instance_path


MESSAGES: dict[str, Callable[[Any, Any], str]] = {
    "maxLength": lambda limit, given: f"it has {len(given):,} characters; at most {limit:,} are allowed",
    "minLength": lambda limit, given: f"it has {len(given):,} characters; at least {limit:,} are needed",
    "pattern": lambda _, __: "it is empty, or not of the form that is asked for",
    "multipleOf": lambda _, __: "it is not a multiple of the step that is asked for",
    "required": lambda _, __: "it is missing",
    "const": lambda wanted, _: f"it must be {wanted!r}",
    "enum": lambda options, _: f"it must be one of {options!r}",
}
"""The message for a keyword, of its value and the given one; for other keywords the engine's own message is told."""


def _told(error: ValidationError) -> Misfit:
    missing = [error.kind.property] if isinstance(error.kind, Kind.Required) else []
    words = MESSAGES.get(error.kind.name)
    message = error.message if words is None else words(error.kind.value, error.instance)
    cut = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}…"
    return Misfit((*error.instance_path, *missing), cut)
