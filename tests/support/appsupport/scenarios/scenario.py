"""A scenario: a document of an owner, and a call of one method that is about it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from appdb import Database
from appdb._driver import RawDocument

DEEP = 56
"""How deep the deepest part of a hostile object is nested: nearly as deep as may be, wherever it is put."""
NOBODY = "usr_" + "f" * 32
"""The id of no user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The stage of a scenario: a database, and the owner of the scenario's documents.

    Args:
        database: Holds what is prepared.
        owner: The id of the user who owns it; used by one scenario alone.
    """

    database: Database
    owner: str

    @property
    def queue(self) -> str:
        """The name of a queue that only this scenario uses."""
        return f"queue-{self.owner}"


async def nothing(stage: Stage) -> None:
    """Prepare nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One call of one public method.

    Args:
        method: Which one; its name in the class, such as ``UserRepository.get``.
        call: Calls it on a repository, with what was prepared, for the owner who is given.
        prepare: Makes what the call is about and returns it. Where the method takes an ``owner_id``, that is the id
            or the name of one document, or nothing for a method that is about all that somebody owns.
        about: What is special about this one, when a method has several.
        creates: Whether the method makes something of whoever calls it, so that anybody may.
        extra_keys: How many index keys the method may look at beyond twice what it finds, besides a few.
        scans: Why the method may look at whole collections: what bounds them.
    """

    method: str
    call: Callable[[Any, Any, str], Awaitable[object]]
    prepare: Callable[[Stage], Awaitable[Any]] = nothing
    about: str = ""
    creates: bool = False
    extra_keys: int = 0
    scans: str = ""

    @property
    def name(self) -> str:
        """The scenario's name in tests."""
        return f"{self.method} ({self.about})" if self.about else self.method


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A method that stores what a user wrote.

    Args:
        method: Which one; its name in the class.
        fields: The parameters that are text of a user's, or hold it; a field of a parameter is ``task.payload``.
        store: Stores the text in all of *fields* and returns what is read back, by field.
    """

    method: str
    fields: tuple[str, ...]
    store: Callable[[Stage, str], Awaitable[Mapping[str, object]]]
    refuses: bool = False
    """Whether text that cannot be shown on a line, such as NUL, is refused; else it is stored too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """All scenarios of one repository; a module of this package has them in ``SCENES``.

    Args:
        subject: The class.
        scenarios: At least one for each of its public methods.
        texts: One for each method that stores what a user wrote.
        plain: Parameters that hold no free text of a user's, such as ids and what hosts choose: never stored, or only
            where there is a document of that id. As ``method.parameter``, or as ``parameter`` for all methods.
        crowds: By collection, makes the document with a number, of which there are many that nobody asks for.
    """

    subject: type[Any]
    scenarios: tuple[Scenario, ...]
    texts: tuple[Text, ...] = ()
    plain: frozenset[str] = frozenset()
    crowds: Mapping[str, Callable[[int], RawDocument]] = field(default_factory=dict)


def hostile_json(text: str) -> dict[str, Any]:
    """Return an object with *text* as a value and as a name, in shapes that drivers read as types of their own."""
    reference = {"$ref": text, "$id": text}
    whole = {"$ref": text, "$id": {"$oid": reference}, "$db": text, "more": [reference]}
    nested: Any = reference
    for _ in range(DEEP):
        nested = [nested]
    shapes = {"c": [whole], "d": {"$date": 2**52}, "e": 2**40, "f": nested}
    return {"a": text, text: text, "b": {text: [text]}, **shapes} | reference


def told(text: str, stored: Any) -> object:
    """Return *text* if what was stored is ``hostile_json``, perhaps beside what was added to it; else what it is."""
    given = hostile_json(text)
    return text if isinstance(stored, dict) and {name: stored.get(name) for name in given} == given else stored


_ID = re.compile(r"[0-9a-f]{32}")


def missing(made: object) -> str:
    """Return an id or a name like *made* that no document has."""
    text = str(made)
    return _ID.sub("0" * 32, text) if _ID.search(text) else "missing"
