"""The first event of a run: what the run begins with, and whose child it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from appdb.models import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """The first event of a run, as the engine reads it.

    Args:
        input: What the run begins with.
        parent_id: The run that this one is a child of.
        modules: Of a child of a part of a definition, the definitions of its modules.
        values: Roots that only its modules have, such as ``item`` and ``index``.
        outer_modules: By module, what modules of the parent had given, as far as *modules* refer to them.
        outer_state: What had a name in the parent's state, as far as *modules* refer to it.
    """

    input: Mapping[str, Any] = field(default_factory=dict)
    parent_id: str | None = None
    modules: tuple[Mapping[str, Any], ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    outer_modules: Mapping[str, Any] = field(default_factory=dict)
    outer_state: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, state: RunState) -> Self:
        """Return what the run's first event says; of an event without anything, the defaults."""
        return cls.of_data({} if state.created is None else state.created.data)

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> Self:
        """Return what the data of a first event says."""
        outer = data.get("outer") or {}
        return cls(
            input=data.get("input") or {},
            parent_id=(data.get("parent") or {}).get("run_id"),
            modules=tuple(data.get("modules") or ()),
            values=data.get("values") or {},
            outer_modules=outer.get("modules") or {},
            outer_state=outer.get("state") or {},
        )
