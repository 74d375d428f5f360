"""JSON Schemas that users write: read by a linear engine without fetching anything, at a bounded cost.

A short schema can ask for more work than any host has: references that double at each step check one value a million
times. So the work is counted before it is done, and a schema or a value that would take too much is a problem like
any other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

from appserver.modules.contract import FieldProblem
from appserver.values.pointers import pointer_of
from appserver.values.schema_errors import MAX_MESSAGE, told_errors
from appserver.values.storable import Misfit, has_more_values, storage_errors

MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_COST = 5_000
"""Of the schemas that one value may be held against, those behind references counted each time."""
MAX_REFERENCES = 60
"""In a chain of them."""
MAX_WORK = 500_000
"""Cost of the schema times weight of the value: about 50 ms."""
MAX_SEARCHED_WORK = 5_000
"""Above it a misfit is only told, not searched for: the engine lists those of all alternatives, at 6 µs for each."""
MAX_VALUES = 20_000
"""Of a value that is checked; to look at more of them would hold up other requests."""
MAX_PROBLEMS = 20
CHARACTERS_PER_WEIGHT = 64
PATTERNS = RegexOptions(size_limit=256 * 1024, dfa_size_limit=1024 * 1024)

_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTED = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_OPEN_REFERENCE = re.compile(r'"\$ref": "(?!#)')
_REFUSED = ("$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveRef")


def schema_problems(schema: Mapping[str, Any]) -> tuple[FieldProblem, ...]:
    """Return why *schema* is none that values can be held against; the pointers are into the schema."""
    return _read(_as_text(schema)).problems


def unfilled_problems(inputs: Mapping[str, Any], name: str = "schema") -> tuple[FieldProblem, ...]:
    """Return why a schema among the inputs of a definition cannot be used; nothing while references are open in it.

    Args:
        inputs: The inputs, as the definition has them.
        name: The input that holds the schema.
    """
    schema = inputs.get(name)
    if not isinstance(schema, dict) or _is_open(schema):
        return ()
    return tuple(
        FieldProblem(pointer=pointer_of([name]) + problem.pointer, message=problem.message)
        for problem in schema_problems(schema)
    )


def narrowed(outputs: Mapping[str, Any], name: str, schema: object) -> Mapping[str, Any]:
    """Return the schema of *outputs* with *schema* for the output of this name, where it can stand there.

    It cannot while references are open in it, or where it refers to its own parts.
    """
    if not isinstance(schema, dict) or _is_open(schema) or '"$ref"' in json.dumps(schema):
        return outputs
    return {**outputs, "properties": {**outputs["properties"], name: schema}}


def _is_open(schema: Mapping[str, Any]) -> bool:
    text = json.dumps(schema)
    return "{{" in text or _OPEN_REFERENCE.search(text) is not None


def misfits(schema: Mapping[str, Any], value: object) -> tuple[FieldProblem, ...]:
    """Return where *value* cannot be stored or does not fit *schema*, at most 20 places with pointers into the value.

    Returns:
        For a schema with problems of its own, one misfit that says so; ask ``schema_problems`` first.
    """
    read = _read(_as_text(schema))
    if read.validator is None:
        return _whole(f"its schema cannot be read: {read.problems[0].message}")
    if has_more_values(value, MAX_VALUES):
        return _whole(f"it is too large: it has more than {MAX_VALUES:,} values; give less")
    if unstorable := storage_errors(value):
        return _placed(unstorable)
    work = read.cost * _weight(value)
    if work > MAX_WORK:
        return _whole("it is too large to be checked by this schema; give less")
    return () if read.validator.is_valid(value) else _searched(read.validator, value, work)


def _searched(validator: Draft202012Validator, value: object, work: int) -> tuple[FieldProblem, ...]:
    if work > MAX_SEARCHED_WORK:
        return _whole("it does not fit the schema; a smaller value is told where")
    return _placed(told_errors(validator.iter_errors(value), MAX_PROBLEMS))


def _whole(message: str) -> tuple[FieldProblem, ...]:
    return (FieldProblem(pointer="", message=message),)


def _placed(errors: Iterable[Misfit]) -> tuple[FieldProblem, ...]:
    return tuple(FieldProblem(pointer=pointer_of(error.path), message=error.message) for error in errors)


@dataclass(frozen=True, slots=True)
class _Read:
    validator: Draft202012Validator | None = None
    cost: int = 0
    problems: tuple[FieldProblem, ...] = ()


def _as_text(schema: Mapping[str, Any]) -> str:
    # A mapping is no key for a cache.
    return json.dumps(schema, sort_keys=True, separators=(",", ":"))


@lru_cache(maxsize=256)
def _read(text: str) -> _Read:
    if len(text) > MAX_SCHEMA_BYTES:
        return _refused("", f"the schema has more than {MAX_SCHEMA_BYTES // 1024} KiB; make it smaller")
    schema = json.loads(text)
    counted = _Costs(schema)
    try:
        cost = counted.of(schema, (), 0)
        validator = Draft202012Validator(schema, offline=True, pattern_options=PATTERNS, validate_formats=True)
    except _SchemaRefusedError as exc:
        return _refused(exc.pointer, exc.message)
    except ValidationError as exc:
        return _refused(pointer_of(exc.instance_path), _short(exc.message))
    except ValueError as exc:
        return _refused("", _short(str(exc)))
    if cost > MAX_SCHEMA_COST:
        return _refused("", f"it takes {cost:,} steps to check one value; make it smaller than {MAX_SCHEMA_COST:,}")
    return _Read(validator=validator, cost=cost)


def _refused(pointer: str, message: str) -> _Read:
    return _Read(problems=(FieldProblem(pointer=pointer, message=message),))


class _SchemaRefusedError(Exception):
    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.pointer, self.message = pointer_of(path), message


@dataclass(slots=True)
class _Costs:
    """Counts the schemas that one value is held against; each is looked at once."""

    root: Any
    known: dict[int, int] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)

    def of(self, schema: Any, path: tuple[str | int, ...], references: int) -> int:
        if not isinstance(schema, dict):
            return 1
        if id(schema) in self.open:
            raise _SchemaRefusedError(path, "it refers to itself; write out as many levels as you need")
        if len(path) > MAX_REFERENCES or references > MAX_REFERENCES:
            raise _SchemaRefusedError(path[:3], f"it is nested more than {MAX_REFERENCES} levels deep")
        if id(schema) not in self.known:
            self.open.add(id(schema))
            self.known[id(schema)] = self._counted(schema, path, references)
            self.open.discard(id(schema))
        return self.known[id(schema)]

    def _counted(self, schema: dict[str, Any], path: tuple[str | int, ...], references: int) -> int:
        for name in (*_REFUSED, *(("$id",) if path else ())):
            if name in schema:
                raise _SchemaRefusedError((*path, name), f"{name} is not supported; refer by '#/$defs/...'")
        options = schema.get("enum")
        cost = 1 + (len(options) if isinstance(options, list) else 0)
        cost += sum(self.of(part, inner, references) for part, inner in _parts(schema, path))
        if (reference := schema.get("$ref")) is not None:
            cost += self.of(self._target(reference, (*path, "$ref")), path, references + 1)
        return min(cost, MAX_SCHEMA_COST + 1)

    def _target(self, reference: object, path: tuple[str | int, ...]) -> Any:
        found = self.root
        parts = str(reference).split("/")
        if parts[0] != "#":
            raise _SchemaRefusedError(path, "refer to a part of the schema itself, such as '#/$defs/Item'")
        for part in parts[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                raise _SchemaRefusedError(path, f"{_short(str(reference))} is not in the schema")
        return found


def _parts(schema: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[tuple[Any, tuple[str | int, ...]]]:
    for keyword, value in schema.items():
        if keyword in _SINGLE:
            yield value, (*path, keyword)
        elif keyword in _NAMED and isinstance(value, dict):
            yield from ((inner, (*path, keyword, name)) for name, inner in value.items())
        elif keyword in _LISTED and isinstance(value, list):
            yield from ((inner, (*path, keyword, index)) for index, inner in enumerate(value))


def _weight(value: object) -> int:
    weight = 0
    rest: list[object] = [value]
    while rest:
        match rest.pop():
            case dict() as inner:
                weight += 1 + len(inner)
                rest.extend(inner.values())
            case list() as inner:
                weight += 1
                rest.extend(inner)
            case str() as text:
                weight += 1 + len(text) // CHARACTERS_PER_WEIGHT
            case _:
                weight += 1
    return weight


def _short(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"
