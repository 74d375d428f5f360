"""The work of a module's try: its sub-actions by key, read from the state once in a decision and then kept up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from appdb.models import EventSummary, ModuleWork, RunState, SubAction
from appserver.engine.core.place import Place
from appserver.modules.contract import ErrorCode, Work
from appserver.modules.standing import Standing, StandingWork

KEPT = "kept"
"""In a start's data, the ids of sub-actions of the try before that count in this one."""


def name_of(place: Place, key: str) -> str:
    """Return the id of a sub-action; unique on the run's line of history."""
    return f"{place.module.id}/{key}"


def subs_of_try(state: RunState, key: tuple[str, str]) -> list[SubAction]:
    """Return the sub-actions of a module's last try, in the order of their starts; none where it has not begun."""
    start, work = state.started.get(key), state.work.get(key)
    if start is None or work is None:
        return []
    kept = frozenset(start.data.get(KEPT, ()))
    return [sub for name, sub in work.all.items() if sub.started.seq > start.seq or name in kept]


class TryWork:
    """
    The sub-actions of one try of a module: those since its start, and those that its start keeps.

    A module may have a thousand, of which one event changes one; so what the state has sorted is taken as it is, and
    then only what has changed is looked at.

    Args:
        state: The run.
        place: The module.
        start: The event that began the try.
    """

    def __init__(self, state: RunState, place: Place, start: EventSummary) -> None:
        self.start_id = start.event_id
        self._prefix = name_of(place, "")
        work = state.work.get(place.key, ModuleWork())
        oldest = next(iter(work.all.values()), None)
        if oldest is None or oldest.started.seq > start.seq:
            self._all, self._open, self._failed = dict(work.all), dict(work.open), dict(work.failed)
            return
        kept = frozenset(start.data.get(KEPT, ()))
        self._all = {name: sub for name, sub in work.all.items() if sub.started.seq > start.seq or name in kept}
        self._open = {name: sub for name, sub in work.open.items() if name in self._all}
        self._failed = {name: sub for name, sub in work.failed.items() if name in self._all}

    def follow(self, state: RunState, names: Iterable[str]) -> None:
        """Take over from *state* the sub-actions *names*, of which events were added since the last look."""
        for name in names:
            sub = state.sub_actions[name]
            if sub.ended is None:
                # Removed first, as in the state: in the order of the last starts.
                self._all.pop(name, None)
                self._open[name] = sub
            else:
                self._open.pop(name, None)
            self._all[name] = sub
            if sub.failed:
                self._failed[name] = sub

    @property
    def open(self) -> list[SubAction]:
        """Those that have not ended."""
        return list(self._open.values())

    @property
    def done(self) -> list[str]:
        """The ids of those that have given something."""
        return [name for name in self._all if name not in self._open and name not in self._failed]

    def seen(self) -> SeenWork:
        """Return them as the module sees them; later events do not change that."""
        ended = len(self._all) - len(self._open)
        standing = Standing(open=len(self._open), succeeded=ended - len(self._failed), failed=len(self._failed))
        return SeenWork(self._prefix, dict(self._all), standing)


class SeenWork(StandingWork):
    """
    The work of a try as its module sees it.

    Args:
        prefix: What the ids of its sub-actions begin with; the rest are the keys.
        subs: By id, the sub-actions.
        standing: How they stand.
    """

    def __init__(self, prefix: str, subs: Mapping[str, SubAction], standing: Standing) -> None:
        self._prefix, self._subs, self._standing = prefix, subs, standing

    def __getitem__(self, key: str) -> Work:
        return _work(self._subs[f"{self._prefix}{key}"])

    def __iter__(self) -> Iterator[str]:
        own = len(self._prefix)
        return (name[own:] for name in self._subs)

    def __len__(self) -> int:
        return len(self._subs)

    def __contains__(self, key: object) -> bool:
        return f"{self._prefix}{key}" in self._subs

    @property
    def standing(self) -> Standing:
        """How they stand."""
        return self._standing


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
