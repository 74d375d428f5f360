"""Another owner's id gives the same answer as a missing one, from every method that takes an owner."""

from __future__ import annotations

import re
from typing import Any

import pytest

from appdb import AppDbError, Database, uuid7_str
from appsupport.scenarios.scenario import NOBODY, Scenario, Stage, missing
from appsupport.scenarios.table import SCENARIOS, made_for, methods, owned_methods

OWNED = sorted(name for name, scenario in SCENARIOS.items() if scenario.method in owned_methods())
HOSTILE = ["", "$ne", "$owner_id", "$$ROOT", "{'$gt': ''}", "__proto__", "a\x00b", ".", "\U0001f600" * 300]


@pytest.mark.parametrize("method", sorted(methods()))
def test_every_method_has_scenario(method: str) -> None:
    assert method in {scenario.method for scenario in SCENARIOS.values()}, (
        f"{method} is in no scenario: add one to the module of its repository in tests/support/appsupport/scenarios"
    )


def test_every_scenario_has_method() -> None:
    assert {scenario.method for scenario in SCENARIOS.values()} <= set(methods())


@pytest.mark.parametrize("name", OWNED)
async def test_another_owners_document_looks_missing(name: str, database: Database) -> None:
    scenario, stage = SCENARIOS[name], Stage(database=database, owner=uuid7_str("usr_"))
    made = await scenario.prepare(stage)
    before = await _everything(database)
    asked = {"another": (made, uuid7_str("usr_")), "missing": (missing(made), NOBODY)}
    answers = {how: await _answer(scenario, database, *given) for how, given in asked.items()}
    after = await _everything(database)
    own = await _answer(scenario, database, made, stage.owner)

    assert answers["another"] == answers["missing"]
    assert {row: after.get(row) for row in before} == before
    if not scenario.creates:
        assert after.keys() == before.keys()
    # What the owner gets is something else, so the scenario is about something.
    assert own != answers["missing"]


@pytest.mark.parametrize("name", OWNED)
async def test_hostile_owner_id_is_nobody(name: str, database: Database) -> None:
    scenario, stage = SCENARIOS[name], Stage(database=database, owner=uuid7_str("usr_"))
    made = await scenario.prepare(stage)
    before = await _everything(database)
    answers = [await _answer(scenario, database, made, hostile) for hostile in HOSTILE]
    after = await _everything(database)

    assert not [answer for answer in answers if stage.owner in answer]
    assert {row: after.get(row) for row in before} == before


async def _answer(scenario: Scenario, database: Database, made: Any, owner_id: str) -> str:
    """Return what comes back or what is raised, with ids and times left out."""
    try:
        answer = await scenario.call(made_for(scenario, database), made, owner_id)
    except AppDbError as exc:
        answer = f"{type(exc).__name__}: {exc}"
    text = repr(answer).replace(repr(made), "'ID'").replace(repr(missing(made)), "'ID'")
    if scenario.creates:
        text = re.sub(r"datetime\.datetime\([^)]*\)+", "TIME", text)
    return text.replace(owner_id, "OWNER") if owner_id.startswith("usr_") else text


async def _everything(database: Database) -> dict[tuple[str, str], Any]:
    names = [name for name in await database.raw.list_collection_names() if not name.startswith("system.")]
    return {(name, str(row["_id"])): row for name in names async for row in database.collection(name).find()}
