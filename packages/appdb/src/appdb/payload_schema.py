"""The payload schema as API hosts judge it: the part on which they and the actor's worker agree.

A worker checks a payload with a pydantic model, a host with the JSON Schema that the model published, and the engines
of JSON Schema read some keywords in other ways than pydantic does. So there is one rule:

**A host refuses only what the worker would refuse.** It judges the keywords that both read alike, patterns and
multiples as pydantic reads them, and leaves the rest to the worker, whose refusal is a failed task that names the
field. Values must have the schema's own JSON types, although a model may coerce others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import SchemaError, SchemaValidator, core_schema

from appdb.errors import InvalidDataError

FIELD = "payload_schema"
TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
# A wrong refusal is worse than a late one: the worker judges all that is left to it.
LEFT_TO_WORKER = frozenset(
    {
        "$dynamicRef",
        "contains",
        "dependentSchemas",
        "else",
        "if",
        "maxContains",
        "minContains",
        "not",
        "patternProperties",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        # A set, which takes duplicates and drops them.
        "uniqueItems",
    }
)
"""Negations of what may be left out, and what pydantic reads in its own way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSchema:
    """The part of an actor's payload schema that hosts check payloads with.

    Args:
        schema: The part that hosts judge, as JSON Schema (draft 2020-12) with references to itself alone. In it,
            ``pattern`` is a regular expression of Rust, and ``multipleOf`` has pydantic's tolerance.
        left_to_worker: The places of the rest, such as ``properties.name.pattern``.
    """

    schema: dict[str, Any]
    left_to_worker: tuple[str, ...]


def judged(schema: Mapping[str, Any]) -> JudgedSchema:
    """Return what hosts judge of an announced *schema*.

    Raises:
        InvalidDataError: It is no JSON Schema, or refers to something outside of itself; the message names the place.
    """
    reader = _Reader()
    found = reader.read(dict(schema), ())
    if not isinstance(found, dict):
        raise _problem((), "it must be an object")
    for path, reference in reader.references:
        if not _resolves(found, reference):
            raise _problem(path, f"{reference!r} is not in the schema; refer to a part of it, such as '#/$defs/Item'")
    return JudgedSchema(schema=found, left_to_worker=tuple(".".join(path) for path in reader.left))


Path = tuple[str, ...]


class _Reader:
    """Goes through a schema once, and notes what it leaves out and what it refers to."""

    def __init__(self) -> None:
        self.left: list[Path] = []
        self.references: list[tuple[Path, str]] = []

    def read(self, schema: object, path: Path) -> dict[str, Any] | bool:
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise _problem(path, "it must be a schema: an object, or true or false")
        kept: dict[str, Any] = {}
        for keyword, value in schema.items():
            place = (*path, keyword)
            if keyword in LEFT_TO_WORKER:
                self.left.append(place)
            elif keyword in SHAPES:
                self._keep(kept, keyword, value, place)
        if "patternProperties" in schema:
            # It says which properties are additional.
            kept.pop("additionalProperties", None)
        return kept

    def _keep(self, kept: dict[str, Any], keyword: str, value: object, place: Path) -> None:
        fits, wanted = SHAPES[keyword]
        if not fits(value):
            raise _problem(place, f"it must be {wanted}")
        match keyword, value:
            case (("properties" | "$defs" | "definitions"), dict()):
                kept[keyword] = {name: self.read(inner, (*place, name)) for name, inner in value.items()}
            case (("allOf" | "anyOf" | "prefixItems"), list()):
                kept.setdefault(keyword, []).extend(self._each(value, place))
            case "oneOf", list():
                # A part that was left out may make two of them fit; a model takes one of them in any case.
                kept.setdefault("allOf", []).append({"anyOf": self._each(value, place)})
            case (("items" | "additionalProperties" | "propertyNames"), _):
                kept[keyword] = self.read(value, place)
            case "pattern", str() if problem := _unreadable(value):
                self.left.append((*place[:-1], f"pattern ({problem})"))
            case "$ref", str():
                self.references.append((place, value))
                kept[keyword] = value
            case _:
                kept[keyword] = value

    def _each(self, schemas: list[Any], place: Path) -> list[dict[str, Any] | bool]:
        return [self.read(inner, (*place, str(number))) for number, inner in enumerate(schemas)]


def pattern_validator(pattern: str) -> SchemaValidator:
    """Return what says whether a text fits *pattern*, as a model's own check does.

    Raises:
        SchemaError: It is no regular expression of Rust, which knows no look-around and no references back.
    """
    return SchemaValidator(core_schema.str_schema(pattern=pattern))


def _unreadable(pattern: str) -> str | None:
    try:
        pattern_validator(pattern)
    except SchemaError as exc:
        return str(exc).strip().splitlines()[-1].strip()
    return None


def _resolves(root: dict[str, Any], reference: str) -> bool:
    if not reference.startswith("#"):
        return False
    found: Any = root
    for part in filter(None, reference.removeprefix("#").split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return False
    return isinstance(found, dict | bool)


def _problem(path: Path, problem: str) -> InvalidDataError:
    return InvalidDataError(".".join((FIELD, *path)), problem)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return _is_number(value) and isinstance(value, int) and value >= 0


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_type(value: object) -> bool:
    return (isinstance(value, str) and value in TYPES) or (_is_texts(value) and {*value} <= TYPES)  # type: ignore[misc]


_NUMBER = (_is_number, "a number")
_COUNT = (_is_count, "a whole number from 0 on")
_SCHEMAS = (lambda value: isinstance(value, dict), "an object of schemas")
_LIST = (lambda value: isinstance(value, list) and len(value) > 0, "a list of schemas")
_ANY = (lambda _: True, "anything")
_TEXT = (lambda value: isinstance(value, str), "a text")
SHAPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "$defs": _SCHEMAS,
    "$ref": _TEXT,
    "additionalProperties": _ANY,
    "allOf": _LIST,
    "anyOf": _LIST,
    "const": _ANY,
    "definitions": _SCHEMAS,
    "dependentRequired": (
        lambda value: isinstance(value, dict) and all(map(_is_texts, value.values())),
        "an object of lists of names",
    ),
    "enum": (lambda value: isinstance(value, list), "a list"),
    "exclusiveMaximum": _NUMBER,
    "exclusiveMinimum": _NUMBER,
    "items": _ANY,
    "maxItems": _COUNT,
    "maxLength": _COUNT,
    "maxProperties": _COUNT,
    "maximum": _NUMBER,
    "minItems": _COUNT,
    "minLength": _COUNT,
    "minProperties": _COUNT,
    "minimum": _NUMBER,
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "oneOf": _LIST,
    "pattern": _TEXT,
    "prefixItems": _LIST,
    "properties": _SCHEMAS,
    "propertyNames": _ANY,
    "required": (_is_texts, "a list of names"),
    "type": (_is_type, "a type of JSON Schema, or a list of such"),
}
"""The keywords that hosts judge, and what their values must be; all others are notes, such as a title or a format."""
