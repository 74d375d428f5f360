"""Scenarios of ``EventRepository``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from appdb import DbEventType, EventRepository, StateRepository
from appdb._driver import RawDocument
from appdb.models import EventFilter, NewRunEvent
from appsupport.runs.run_events import step_started
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text, hostile_json, told
from appsupport.scenarios.staged_runs import begun, branch_of, event_of, fork_of, forked, worked

E = DbEventType
FAR = datetime(2999, 1, 1, tzinfo=UTC)
TYPES = (E.STEP_STARTED, E.MODULE_STARTED, E.MODULE_COMPLETED, E.INTERACTION_REQUESTED)


async def _first(stage: Stage) -> str:
    return event_of(await worked(stage))


def _append(events: EventRepository, made: str, owner_id: str) -> Any:
    return events.append(made, [step_started("write")], owner_id=owner_id, branch_id=branch_of(made))


def _read(about: str, wanted: EventFilter, **options: Any) -> Scenario:
    return Scenario(
        method="EventRepository.read",
        about=about,
        prepare=forked,
        call=lambda events, made, owner_id: events.read(made, wanted, owner_id=owner_id, **options),
    )


def _latest(about: str, kind: DbEventType, **options: Any) -> Scenario:
    return Scenario(
        method="EventRepository.latest",
        about=about,
        prepare=forked,
        call=lambda events, made, owner_id: events.latest(made, kind, owner_id=owner_id, **options),
    )


async def _append_text(stage: Stage, text: str) -> Mapping[str, object]:
    events, run_id = EventRepository(stage.database), await begun(stage)
    given = hostile_json(text) | {"interaction_id": text}
    new = [
        NewRunEvent(type=E.STEP_STARTED, step=text),
        NewRunEvent(type=E.MODULE_STARTED, step=text, module=text, data=hostile_json(text)),
        NewRunEvent(type=E.INTERACTION_REQUESTED, step=text, module=text, data=given),
    ]
    await events.append(run_id, new, owner_id=stage.owner, branch_id=branch_of(run_id))
    read = await events.read(run_id, EventFilter(module=text, step=text), owner_id=stage.owner)
    assert [event.type for event in read] == [E.MODULE_STARTED, E.INTERACTION_REQUESTED]
    newest = await events.latest(run_id, E.INTERACTION_REQUESTED, owner_id=stage.owner, step=text, module=text)
    assert newest == read[1]
    state = await StateRepository(stage.database).get(run_id, owner_id=stage.owner)
    assert (state.position.step, state.position.module, state.position.interaction_id) == (text, text, text)
    answer = NewRunEvent(type=E.INTERACTION_RESPONSE, data={"interaction_id": text})
    done = NewRunEvent(type=E.MODULE_COMPLETED, step=text, module=text, data={"_state_mapped": {text: text}})
    await events.append(run_id, [answer, done], owner_id=stage.owner, branch_id=branch_of(run_id))
    state = await StateRepository(stage.database).get(run_id, owner_id=stage.owner)
    assert (list(state.state_values), list(state.modules_completed)) == ([text], [text])
    return {
        "events.step": read[0].step,
        "events.module": read[0].module,
        "events.data": told(text, read[0].data),
    }


def _event(number: int) -> RawDocument:
    run = number % 1_000
    base = {"_id": f"evt_{number:032x}", "run_id": f"wf_{run:032x}", "owner_id": f"usr_{run:032x}", "data": {}}
    what = {"type": TYPES[number // 1_000 % 4].value, "step": "paint", "module": "m1", "interaction_id": "select_1"}
    return base | what | {"branch_id": f"br_{run:032x}", "seq": number // 1_000, "created_at": FAR}


SCENES = Scenes(
    subject=EventRepository,
    scenarios=(
        Scenario(method="EventRepository.append", prepare=begun, call=_append),
        Scenario(
            method="EventRepository.get",
            prepare=_first,
            call=lambda events, made, owner_id: events.get(made, owner_id=owner_id),
        ),
        Scenario(
            method="EventRepository.log",
            prepare=forked,
            call=lambda events, made, owner_id: events.log(made, owner_id=owner_id),
        ),
        Scenario(
            method="EventRepository.log",
            about="the next",
            prepare=forked,
            call=lambda events, made, owner_id: events.log(made, owner_id=owner_id, after=50, limit=5),
        ),
        _read("", EventFilter()),
        _read("the next", EventFilter(after=20), limit=5),
        _read("a part", EventFilter(after=5, before=8)),
        _read("by types", EventFilter(types=[E.STEP_STARTED, E.MODULE_COMPLETED])),
        _read("by module", EventFilter(module="m3")),
        _read("by module and type", EventFilter(module="draft", types=[E.MODULE_COMPLETED])),
        _read("by step", EventFilter(step="write")),
        Scenario(
            method="EventRepository.read",
            about="the line of another branch",
            prepare=forked,
            call=lambda events, made, owner_id: events.read(made, owner_id=owner_id, branch_id=fork_of(made)),
        ),
        Scenario(
            method="EventRepository.of_interaction",
            prepare=worked,
            call=lambda events, made, owner_id: events.of_interaction(made, "select_1", owner_id=owner_id),
        ),
        _latest("", E.STEP_STARTED),
        _latest("of a step", E.STEP_STARTED, step="paint"),
        _latest("of a module", E.MODULE_COMPLETED, module="m3"),
    ),
    texts=(
        Text(
            method="EventRepository.append", fields=("events.step", "events.module", "events.data"), store=_append_text
        ),
    ),
    plain=frozenset(
        {
            "owner_id",
            "run_id",
            "branch_id",
            "event_id",
            "interaction_id",
            "latest.step",
            "latest.module",
            "wanted.step",
            "wanted.module",
        }
    ),
    crowds={"events": _event},
)
