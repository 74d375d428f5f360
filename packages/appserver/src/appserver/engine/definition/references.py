"""References: places of a definition that take a value of the run, as ``{{ path }}`` or ``{"$ref": path}``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from appserver.values.pointers import escaped
from appserver.values.scope import MAX_PATH_CHARACTERS, is_path

REF = "$ref"
DEFAULT = "default"
BRACES = re.compile(r"\\\{\{|\{\{([^{}]*)\}\}|\{\{")
"""An escaped opening, a reference, or an opening without an end; it takes time in proportion to the text."""
PATH_HINT = (
    f"a path is names and indexes with dots between, such as input.topic, of at most {MAX_PATH_CHARACTERS} characters; "
    r"write \{{ for the two braces themselves"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference to a value of the run.

    Args:
        path: Where the value is; it may be malformed, see ``is_path``.
        whole: Whether it stands for the whole value, and not for a part of a text.
        has_default: Whether another value is taken where the path leads nowhere.
        default: That value, as it is written.
    """

    path: str
    whole: bool = True
    has_default: bool = False
    default: Any = None

    @property
    def is_well_formed(self) -> bool:
        """Whether its path has the form of one."""
        return is_path(self.path)


Piece: TypeAlias = str | Reference
LEAVE: Final = frozenset[str]()


def pieces_of(text: str) -> Iterator[Piece]:
    """Yield a text as what stands for itself and what is referred to, in order.

    ``\\{{`` stands for two braces. An opening without an end is a reference with a malformed path.
    """
    end = 0
    for found in BRACES.finditer(text):
        if found.start() > end:
            yield text[end : found.start()]
        end = found.end()
        yield _piece(found, text)
    if end < len(text):
        yield text[end:]


def _piece(found: re.Match[str], text: str) -> Piece:
    if found[0].startswith("\\"):
        return "{{"
    path = text[found.start() : found.start() + 40] if found[1] is None else found[1].strip()
    return Reference(path, whole=len(found[0]) == len(text))


def object_reference(value: Mapping[str, Any]) -> Reference | None:
    """Return what an object ``{"$ref": path, "default": value}`` refers to, or ``None`` for any other object.

    A ``$ref`` that begins with ``#`` belongs to a JSON Schema, and so does one that is no text.
    """
    path = value.get(REF)
    if not isinstance(path, str) or path.startswith("#"):
        return None
    return Reference(path, has_default=DEFAULT in value, default=value.get(DEFAULT))


def references_in(value: object, pointer: str = "", *, literal: bool = False) -> Iterator[tuple[str, Reference]]:
    """Yield each reference of a value with its pointer, in order.

    Args:
        value: A value of a definition, nested at most as deep as a definition may be.
        pointer: The pointer of *value* itself.
        literal: Whether texts stand for themselves, so that only objects refer.
    """
    if isinstance(value, str):
        if not literal:
            yield from ((pointer, piece) for piece in pieces_of(value) if isinstance(piece, Reference))
    elif isinstance(value, Mapping):
        if (reference := object_reference(value)) is not None:
            yield pointer, reference
            return
        for name, inner in value.items():
            yield from references_in(inner, f"{pointer}/{escaped(name)}", literal=literal)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from references_in(inner, f"{pointer}/{index}", literal=literal)


def references_of_inputs(
    inputs: Mapping[str, Any],
    pointer: str = "",
    *,
    literal: Collection[str] = LEAVE,
    nested: Collection[str] = LEAVE,
) -> Iterator[tuple[str, Reference]]:
    """Yield each reference of a module's inputs with its pointer.

    Args:
        inputs: The inputs, as the definition has them.
        pointer: The pointer of *inputs* itself.
        literal: Names of inputs whose texts stand for themselves.
        nested: Names of inputs that hold definitions of modules, whose references are those modules' own.
    """
    for name, value in inputs.items():
        if name not in nested:
            yield from references_in(value, f"{pointer}/{escaped(name)}", literal=name in literal)
