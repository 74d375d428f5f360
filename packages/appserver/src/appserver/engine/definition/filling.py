"""Filling: references are replaced by the values of a run, once, within caps.

What was inserted is never filled again: an answer that looks like a reference stays the text that it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from appserver.engine.definition.model import MAX_DEPTH, MAX_FILLED_BYTES
from appserver.engine.definition.references import LEAVE, PATH_HINT, Reference, object_reference, pieces_of
from appserver.errors import FillError
from appserver.values.pointers import escaped
from appserver.values.scope import NOTHING, known_part, lookup

MAX_INTEGER = 2**63
REFERS = (b"{{", b'"$ref"')
"""What the JSON of a value holds that refers to something, or that may."""
QUOTES = 2
"""Bytes that the quotes of a text take in JSON; also those of brackets, and of a comma with a colon."""


def fill(value: object, scope: Mapping[str, Any], *, pointer: str = "") -> JsonValue:
    """Return *value* with every reference replaced by what *scope* has; new containers, plain JSON types.

    A text that is one reference becomes the value with its type. In a longer text a text goes in as it is, and
    everything else as compact JSON. ``{"$ref": path, "default": value}`` becomes the value, or the default.

    Args:
        value: JSON, as a definition has it.
        scope: What paths lead into: ``input``, ``modules``, ``state``, ``run``, and ``item`` and ``index`` in a map.
        pointer: What pointers of errors begin with.

    Raises:
        FillError: A path leads nowhere and has no default, a reference is malformed, a value is no JSON, or the result
            nests deeper than 20 levels or takes more than 256 KiB as JSON.
    """
    return _Filler(scope).filled(value, pointer, 1)


def fill_inputs(
    inputs: Mapping[str, Any],
    scope: Mapping[str, Any],
    *,
    literal: Collection[str] = LEAVE,
    nested: Collection[str] = LEAVE,
    again: bool = False,
) -> dict[str, JsonValue]:
    """Return a module's inputs, filled.

    Args:
        inputs: The inputs, as the definition has them.
        scope: As for ``fill``.
        literal: Names of inputs whose texts stand for themselves, ``Module.literal``.
        nested: Names of inputs that hold definitions of modules and stay as they are, ``Module.nested``.
        again: Whether they were filled with the same values before. Then the caps are kept, and values are JSON, so
            that these are not looked at one by one: a module is asked again after each thing that happens to it.

    Raises:
        FillError: As for ``fill``; pointers begin at the inputs.
    """
    filler = _Refiller(scope) if again else _Filler(scope)
    filled: dict[str, JsonValue] = {}
    for name, value in inputs.items():
        place = f"/{escaped(name)}"
        filler.count(len(name) + QUOTES, place)
        if name in nested:
            filled[name] = filler.plain(value, place, 2)
        else:
            filled[name] = filler.filled(value, place, 2, literal=name in literal)
    return filled


class _Filler:
    """One filling; it counts what it makes while it makes it, so that nothing beyond the caps is ever built.

    Args:
        scope: What paths lead into.
    """

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self._scope = scope
        self._left = MAX_FILLED_BYTES

    def count(self, size: int, pointer: str) -> None:
        """Count bytes of the result."""
        self._left -= size
        if self._left < 0:
            raise _error(
                pointer, f"it is larger than {MAX_FILLED_BYTES // 1024} KiB when filled; refer to less, or to a file"
            )

    def filled(self, value: object, pointer: str, depth: int, *, literal: bool = False) -> JsonValue:
        """Return a value of a definition, filled."""
        _check_depth(pointer, depth)
        if isinstance(value, str) and not literal:
            return self._text(value, pointer, depth)
        if isinstance(value, Mapping):
            if (reference := object_reference(value)) is not None:
                return self.plain(self._found(reference, pointer), pointer, depth, path=reference.path)
            return self._object(value, pointer, depth, literal=literal)
        if isinstance(value, list | tuple):
            self.count(QUOTES + len(value), pointer)
            return [
                self.filled(inner, f"{pointer}/{index}", depth + 1, literal=literal)
                for index, inner in enumerate(value)
            ]
        return self.plain(value, pointer, depth)

    def _object(self, value: Mapping[str, Any], pointer: str, depth: int, *, literal: bool) -> dict[str, JsonValue]:
        filled: dict[str, JsonValue] = {}
        for name, inner in value.items():
            place = f"{pointer}/{escaped(str(name))}"
            filled[self._name(name, pointer)] = self.filled(inner, place, depth + 1, literal=literal)
        return filled

    def _text(self, text: str, pointer: str, depth: int) -> JsonValue:
        pieces = list(pieces_of(text))
        if len(pieces) == 1 and isinstance(only := pieces[0], Reference):
            return self.plain(self._found(only, pointer), pointer, depth, path=only.path)
        self.count(QUOTES, pointer)
        return "".join(self._inserted(piece, pointer, depth) for piece in pieces)

    def _inserted(self, piece: str | Reference, pointer: str, depth: int) -> str:
        if isinstance(piece, str):
            self.count(_size(piece, pointer, ""), pointer)
            return piece
        found = self._found(piece, pointer)
        if isinstance(found, str):
            self.count(_size(found, pointer, piece.path), pointer)
            return str(found)
        return json.dumps(self.plain(found, pointer, depth, path=piece.path), ensure_ascii=False, separators=(",", ":"))

    def _found(self, reference: Reference, pointer: str) -> object:
        if not reference.is_well_formed:
            raise _error(pointer, f"{reference.path[:80]!r} is no path; {PATH_HINT}", reference.path)
        found = lookup(self._scope, reference.path)
        if found is not NOTHING:
            return found
        if reference.has_default:
            return reference.default
        known = known_part(self._scope, reference.path)
        where = f"{known} is there and has no such value" if known else "it begins with nothing that is known here"
        raise _error(
            pointer, f"there is nothing at {reference.path}: {where}; give a default, or correct it", reference.path
        )

    def plain(self, value: object, pointer: str, depth: int, *, path: str = "") -> JsonValue:
        """Return a copy of a value in the plain types of JSON, with nothing filled in it."""
        _check_depth(pointer, depth, path)
        match value:
            case None | bool():
                self.count(4, pointer)
                return value
            case str():
                self.count(QUOTES + _size(value, pointer, path), pointer)
                return str(value)
            case int():
                # A driver's integers of 64 bits are of a class of their own.
                return self._integer(int(value), pointer, path)
            case float() if math.isfinite(value):
                self.count(8, pointer)
                return float(value)
            case Mapping():
                return {
                    self._name(name, pointer): self.plain(inner, pointer, depth + 1, path=path)
                    for name, inner in value.items()
                }
            case list() | tuple():
                self.count(QUOTES + len(value), pointer)
                return [self.plain(inner, pointer, depth + 1, path=path) for inner in value]
            case _:
                raise _error(pointer, f"{path or 'it'} holds {type(value).__name__}, which is no JSON", path)

    def _integer(self, number: int, pointer: str, path: str) -> int:
        if not -MAX_INTEGER <= number < MAX_INTEGER:
            raise _error(pointer, f"{path or 'it'} holds a whole number of more than 64 bits; give it as text", path)
        self.count(8, pointer)
        return number

    def _name(self, name: object, pointer: str) -> str:
        if not isinstance(name, str):
            raise _error(pointer, f"the name {name!r:.80} of a field is no text")
        self.count(2 * QUOTES + _size(name, pointer, ""), pointer)
        return str(name)


class _Refiller(_Filler):
    """A filling of what was filled before: values are only copied, as a whole."""

    def filled(self, value: object, pointer: str, depth: int, *, literal: bool = False) -> JsonValue:
        """Return a value of a definition, filled."""
        if isinstance(value, Mapping | list | tuple) and not any(mark in (raw := to_json(value)) for mark in REFERS):
            plain: JsonValue = from_json(raw)
            return plain
        return super().filled(value, pointer, depth, literal=literal)

    def plain(self, value: object, pointer: str, depth: int, *, path: str = "") -> JsonValue:  # noqa: ARG002
        """Return a copy of a value in the plain types of JSON, with nothing filled in it."""
        return copied(value)


def copied(value: object) -> JsonValue:
    """Return a copy of *value*, which is known to be JSON, in its plain types."""
    made: JsonValue = from_json(to_json(value))
    return made


def _check_depth(pointer: str, depth: int, path: str = "") -> None:
    if depth > MAX_DEPTH:
        raise _error(pointer, f"it is nested more than {MAX_DEPTH} levels deep when filled; make it flatter", path)


def _size(text: str, pointer: str, path: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError as exc:
        problem = f"{path or 'it'} holds half of a surrogate pair, which is no character"
        raise _error(pointer, problem, path) from exc


def _error(pointer: str, problem: str, path: str = "") -> FillError:
    return FillError(pointer, path, problem)
