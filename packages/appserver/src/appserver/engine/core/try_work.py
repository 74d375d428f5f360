"""The work of a module's try: its sub-actions by key, read from the state once in a decision and then kept up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, KeysView, Mapping
from typing import Any, Literal

from appdb import DbEventType
from appdb.models import EventSummary, RunState, SubAction
from appserver.engine.core.place import Place
from appserver.modules.contract import ErrorCode, Work
from appserver.modules.standing import Standing, StandingWork

KEPT = "kept"
"""In a start's data, the ids of sub-actions of the try before that count in this one."""


def name_of(place: Place, key: str) -> str:
    """Return the id of a sub-action; unique on the run's line of history."""
    return f"{place.module.id}/{key}"


class TryWork:
    """
    The sub-actions of one try of a module: those since its start, and those that its start keeps.

    A module may have a thousand, of which one event changes one; so they are sorted in one pass over the state, and
    then only what has changed is looked at.

    Args:
        state: The run.
        place: The module.
        start: The event that began the try.
    """

    def __init__(self, state: RunState, place: Place, start: EventSummary) -> None:
        self.start_id = start.event_id
        self._own = len(name_of(place, ""))
        self._all: dict[str, SubAction] = {}
        self._open: dict[str, SubAction] = {}
        (step, module), since, kept = place.key, start.seq, frozenset(start.data.get(KEPT, ()))
        for name, sub in state.sub_actions.items():
            if sub.module == module and sub.step == step and (sub.started.seq > since or name in kept):
                self._put(name, sub)

    def follow(self, state: RunState, names: Iterable[str]) -> None:
        """Take over from *state* the sub-actions *names*, of which events were added since the last look."""
        for name in names:
            if (sub := state.sub_actions[name]).ended is None:
                # Removed first, as in the state: in the order of the last starts.
                self._all.pop(name[self._own :], None)
            self._put(name, sub)

    def _put(self, name: str, sub: SubAction) -> None:
        key = name[self._own :]
        self._all[key] = sub
        if sub.ended is None:
            self._open[key] = sub
        else:
            self._open.pop(key, None)

    @property
    def all(self) -> list[SubAction]:
        """All of them, in the order of their starts."""
        return list(self._all.values())

    @property
    def open(self) -> list[SubAction]:
        """Those that have not ended."""
        return list(self._open.values())

    @property
    def done(self) -> list[str]:
        """The ids of those that have given something."""
        return [sub.id for sub in self._all.values() if sub.ended is not None and not sub.failed]

    def seen(self) -> SeenWork:
        """Return them as the module sees them; later events do not change that."""
        return SeenWork(dict(self._all))


class SeenWork(StandingWork):
    """
    The work of a try as its module sees it.

    Args:
        subs: By key, the sub-actions.
    """

    def __init__(self, subs: Mapping[str, SubAction]) -> None:
        self._subs = subs
        self._standing: Standing | None = None

    def __getitem__(self, key: str) -> Work:
        return _work(self._subs[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._subs)

    def __len__(self) -> int:
        return len(self._subs)

    def __contains__(self, key: object) -> bool:
        return key in self._subs

    def keys(self) -> KeysView[str]:
        """Return the keys, in the order of the starts."""
        return self._subs.keys()

    @property
    def standing(self) -> Standing:
        """How they stand; found out once."""
        if self._standing is None:
            self._standing = _standing(self._subs)
        return self._standing


def _standing(subs: Mapping[str, SubAction]) -> Standing:
    standing = Standing(open=[], completed=[], failed=[])
    for key, sub in subs.items():
        if (ended := sub.ended) is None:
            standing.open.append(key)
        elif ended.type is DbEventType.SUB_ACTION_FAILED:
            standing.failed.append(key)
        else:
            standing.completed.append(key)
    return standing


def _work(sub: SubAction) -> Work:
    data: Mapping[str, Any] = {} if sub.ended is None else sub.ended.data
    error = data.get("error")
    return Work(
        kind=sub.started.data["kind"],
        state=_state(sub, error),
        id=str(sub.started.data["id"]),
        result=data.get("result"),
        error=error,
    )


def _state(sub: SubAction, error: object) -> Literal["open", "completed", "failed", "cancelled"]:
    if sub.ended is None:
        return "open"
    if not sub.failed:
        return "completed"
    cancelled = isinstance(error, Mapping) and error.get("code") == ErrorCode.CANCELLED
    return "cancelled" if cancelled else "failed"
