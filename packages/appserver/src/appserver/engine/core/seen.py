"""The view of a module: all that has happened to it in this try."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from appdb import DbEventType as E
from appdb.models import EventSummary, RunState
from appserver.engine.core.decision import Needed, PastOutputs, PastTries
from appserver.engine.core.draft import Draft
from appserver.engine.core.place import Place
from appserver.modules.contract import Answer, Seen, Try


def seen_of(draft: Draft, place: Place, start: EventSummary) -> Seen | None:
    """Return what the module sees; ``None`` when the draft now needs its earlier tries to be loaded."""
    tries = _tries(draft, place, start)
    if tries is None:
        return None
    run, number = draft.picture.run, try_of(start)
    own = f"{place.module.id}/"
    loaded = draft.picture.loaded
    return Seen(
        run_id=run.id,
        project=run.project,
        module=place.module.id,
        number=number,
        seed=seed_of(run.id, place.module.id, number),
        now=draft.picture.now,
        answers=answers_of(draft.state),
        work=draft.try_work(place, start).seen(),
        tries=tries,
        loaded={key.removeprefix(own): value for key, value in loaded.items() if key.startswith(own)},
    )


def try_of(start: EventSummary) -> int:
    """Return which try a start begins, from 1."""
    number = start.data.get("try", 1)
    return number if isinstance(number, int) else 1


def seed_of(*parts: str | int) -> int:
    """Return a number that is the same for the same parts, below 2**48."""
    return int.from_bytes(hashlib.sha256("\x00".join(map(str, parts)).encode()).digest()[:6])


def answers_of(state: RunState) -> tuple[Answer, ...]:
    """Return the answers to the open module, oldest first; a question that was withdrawn has none."""
    return tuple(
        Answer(interaction_id=asked, response=settled.data["response"], expired=settled.type is E.INTERACTION_EXPIRED)
        for asked, settled in state.responses.items()
        if "response" in settled.data
    )


def _tries(draft: Draft, place: Place, start: EventSummary) -> tuple[Try, ...] | None:
    if try_of(start) == 1:
        return ()
    rows = _loaded(draft, place, f"~tries/{place.module.id}", PastTries())
    known: list[Any] = rows if isinstance(rows, list) else []
    tries = [Try(outputs=row.get("outputs"), feedback=row.get("feedback")) for row in known]
    tries = [*_with_feedback(draft, place, tries), *_left(draft, place, start)]
    return None if draft.needs else tuple(tries)


def _with_feedback(draft: Draft, place: Place, tries: list[Try]) -> list[Try]:
    """Return the tries with a retry that is one of this decision's own events, and so not yet in the log."""
    back = draft.state.went_back
    if back is None or back.type is not E.RETRY_REQUESTED or back.seq < draft.picture.next_seq:
        return tries
    if back.data.get("target_module") != place.module.id:
        return tries
    feedback = back.data.get("feedback", {})
    if tries and tries[-1].feedback is None:
        return [*tries[:-1], replace(tries[-1], feedback=feedback)]
    return [*tries, Try(outputs=None, feedback=feedback)]


def _left(draft: Draft, place: Place, start: EventSummary) -> list[Try]:
    """Return the try on a branch that was left for this one, whose feedback began this one."""
    if "left" not in start.data:
        return []
    seq, feedback = start.data["left"], start.data.get("feedback")
    return [Try(outputs=None if seq is None else past_outputs(draft, place, seq), feedback=feedback)]


def past_outputs(draft: Draft, place: Place, seq: int) -> Mapping[str, Any] | None:
    """Return what the completion with this number gave; ``None`` when it is gone, or the draft now needs it."""
    found = _loaded(draft, place, f"~outputs/{seq}", PastOutputs(seq=seq))
    return found if isinstance(found, Mapping) else None


def _loaded(draft: Draft, place: Place, key: str, request: PastTries | PastOutputs) -> JsonValue:
    if key not in draft.picture.loaded:
        draft.needs.append(Needed(key=key, step=place.step, module=place.module.id, request=request))
        return None
    return draft.picture.loaded[key]
