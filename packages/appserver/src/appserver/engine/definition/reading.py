"""Reading: bytes become JSON, within caps and without a key that stands twice."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, TypeAlias

from appserver.engine.definition.model import MAX_DEFINITION_BYTES, MAX_DEPTH
from appserver.engine.definition.problems import MAX_PROBLEMS, problem
from appserver.errors import DefinitionError, DefinitionProblem
from appserver.values.pointers import escaped

MAX_VALUES = 10_000
"""Of a definition; a definition of 200 modules has a tenth of it."""
MAX_INTEGER = 2**53
REPEATED = "repeated_key"
Repeated: TypeAlias = list[tuple[dict[str, Any], str]]
"""Objects in which a key stands twice, each with that key."""


def read_json(raw: bytes | Mapping[str, Any]) -> tuple[Any, list[DefinitionProblem]]:
    """Return the JSON of a definition, and the problems that do not keep it from being checked further.

    Raises:
        DefinitionError: It is no JSON, or beyond the caps of 1 MiB, 20 levels or 10,000 values.
    """
    text = raw if isinstance(raw, bytes) else _encoded(raw)
    if len(text) > MAX_DEFINITION_BYTES:
        _refuse("too_large", f"it has {len(text):,} bytes; at most {MAX_DEFINITION_BYTES:,} are allowed")
    repeated: Repeated = []
    value = _decoded(text, repeated)
    pointers, problems = _surveyed(value, {id(holder) for holder, _ in repeated})
    return value, problems + _repeated_keys(repeated, pointers)


def repeated_keys(body: bytes, field: str) -> list[DefinitionProblem]:
    """Return the keys that stand twice in what a JSON object has under *field*; where they point to begins there.

    Who reads such a body by other means sees the last of them alone. What is no JSON, or beyond the caps, others tell.
    """
    repeated: Repeated = []
    try:
        value = _decoded(body, repeated)
        if not repeated or not isinstance(value, dict):
            return []
        pointers, _ = _surveyed(value.get(field), {id(holder) for holder, _ in repeated})
        return _repeated_keys(repeated, pointers)
    except DefinitionError as exc:
        return [each for each in exc.problems if each.code == REPEATED]


def _repeated_keys(repeated: Repeated, pointers: Mapping[int, str]) -> list[DefinitionProblem]:
    if len(repeated) > MAX_PROBLEMS:
        _refuse(REPEATED, f"{len(repeated):,} names stand twice in their objects")
    return [
        problem(f"{pointers[id(holder)]}/{escaped(name)}", REPEATED, f"the name {name[:80]!r} stands twice")
        for holder, name in repeated
        if id(holder) in pointers
    ]


def _encoded(value: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, which is told with its place once it is read.
        return json.dumps(value).encode()
    except RecursionError:
        _refuse("too_deep", f"it is nested more than {MAX_DEPTH} levels deep", "make it flatter")
    except (TypeError, ValueError) as exc:
        _refuse("no_json", f"it is no JSON: {exc}", "write JSON values only")


def _decoded(text: bytes, repeated: Repeated) -> Any:
    def noted(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            repeated.extend((made, name) for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        return made

    try:
        # It reads NaN and Infinity too, which are told with their places, as they are where another has read them.
        return json.loads(text.decode("utf-8-sig"), object_pairs_hook=noted)
    except RecursionError:
        _refuse("too_deep", f"it is nested more than {MAX_DEPTH} levels deep", "make it flatter")
    except json.JSONDecodeError as exc:
        _refuse("no_json", f"it is no JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}")
    except UnicodeDecodeError as exc:
        _refuse("no_json", f"it is not UTF-8: byte {exc.start} cannot be read")
    except ValueError as exc:
        _refuse("no_json", f"it is no JSON: {exc}")


def _surveyed(root: object, wanted: set[int]) -> tuple[dict[int, str], list[DefinitionProblem]]:
    """Return the pointers of the wanted objects, and the problems of single values."""
    pointers: dict[int, str] = {}
    problems: list[DefinitionProblem] = []
    for number, (pointer, depth, value) in enumerate(_values(root)):
        if number == MAX_VALUES:
            _refuse("too_large", f"it has more than {MAX_VALUES:,} values", "leave large data to files and inputs")
        if depth > MAX_DEPTH:
            place = "/".join(pointer.split("/")[:8])
            _refuse("too_deep", f"it is nested more than {MAX_DEPTH} levels deep", "make it flatter", pointer=place)
        if id(value) in wanted:
            pointers[id(value)] = pointer
        if (message := _fault(value)) is not None:
            problems.append(problem(pointer, "bad_value", message))
    return pointers, problems


def _values(root: object) -> Iterator[tuple[str, int, object]]:
    stack: list[tuple[str, int, object]] = [("", 1, root)]
    while stack:
        pointer, depth, value = stack.pop()
        yield pointer, depth, value
        if isinstance(value, dict):
            stack.extend((f"{pointer}/{escaped(name)}", depth + 1, inner) for name, inner in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((f"{pointer}/{index}", depth + 1, inner) for index, inner in _backwards(value))


def _backwards(value: list[Any]) -> Iterator[tuple[int, Any]]:
    return ((index, value[index]) for index in range(len(value) - 1, -1, -1))


def _fault(value: object) -> str | None:
    match value:
        case str() if not _is_text(value):
            return "it holds a NUL or half of a surrogate pair, which cannot be stored"
        case bool():
            return None
        case int() if abs(value) >= MAX_INTEGER:
            return "it is beyond 2**53, where readers of JSON differ; write it as text"
        case float() if not math.isfinite(value):
            return "it is no number of JSON, or too large for one; write it as text"
        case dict() if not all(map(_is_text, value)):
            return "the name of a field holds a NUL or half of a surrogate pair, which cannot be stored"
        case _:
            return None


def _is_text(value: str) -> bool:
    if "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(code: str, message: str, hint: str = "", *, pointer: str = "") -> NoReturn:
    raise DefinitionError([problem(pointer, code, message, hint)])
