"""The page that describes the language: its examples run, and its codes are those that are told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from appserver.engine.definition.filling import fill
from appserver.engine.definition.model import MAX_DEFINITION_BYTES, MAX_DEPTH, MAX_FILLED_BYTES, MAX_MODULES
from appserver.engine.definition.parsing import check_definition
from appserver.engine.definition.reading import MAX_VALUES
from appserver.engine.definition.use_check import MAX_REFERENCES
from appserver.modules.builtin import host_registry
from appserver.modules.json_schemas import MAX_SCHEMA_BYTES, MAX_SCHEMA_COST
from appserver.values.conditions import Condition, holds
from appserver.values.scope import MAX_PATH_CHARACTERS

ROOT = Path(__file__).parents[6]
PAGE = (ROOT / "docs" / "workflows.md").read_text(encoding="utf-8")
SOURCES = ROOT / "packages" / "appserver" / "src" / "appserver" / "engine" / "definition"
ADAPTER: TypeAdapter[Condition] = TypeAdapter(Condition)


def block(info: str) -> Any:
    found = re.search(rf"^```{info}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return json.loads(found[1])


def rows(section: str) -> Iterator[list[str]]:
    """Yield what stands in backticks in each row of a section's tables."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    yield from (re.findall(r"`([^`]+)`", line) for line in text.splitlines() if line.startswith("|"))


SCOPE = {"input": block("json scope")}
FILLED = [cells for cells in rows("References") if len(cells) == 2 and cells[0].startswith(('"', "{"))]
CONDITIONS = [cells[0] for cells in rows("Conditions") if cells and cells[0].startswith("{")]


def test_definition_of_the_page_has_no_problems() -> None:
    assert check_definition(block("json"), host_registry()).problems == ()


@pytest.mark.parametrize(("written", "becomes"), FILLED)
def test_reference_of_the_page_becomes_what_it_says(written: str, becomes: str) -> None:
    assert fill(json.loads(written), SCOPE) == json.loads(becomes)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_condition_of_the_page_holds(condition: str) -> None:
    assert holds(ADAPTER.validate_json(condition), SCOPE)


def test_page_has_its_rows() -> None:
    assert (len(FILLED), len(CONDITIONS)) == (9, 8)


def test_codes_of_the_page_are_those_of_the_sources() -> None:
    told = {code for cells in rows("Problems") for code in cells}
    sources = "\n".join(file.read_text(encoding="utf-8") for file in SOURCES.glob("*.py"))

    assert {code for code in told if f'"{code}"' not in sources} == set()
    assert set(re.findall(r'(?:fault=|_refuse\()"(\w+)"', sources)) <= told


def test_limits_of_the_page_are_those_of_the_sources() -> None:
    limits = PAGE.split("\n## Limits\n")[1]

    assert f"{MAX_DEFINITION_BYTES // 2**20} MiB, {MAX_VALUES:,} values, {MAX_DEPTH} levels" in limits
    assert f"included | {MAX_MODULES} |" in limits
    assert f"references | {MAX_REFERENCES:,} |" in limits
    assert f"{MAX_PATH_CHARACTERS} characters" in limits
    assert f"{MAX_FILLED_BYTES // 1024} KiB, {MAX_DEPTH} levels" in limits
    assert f"{MAX_SCHEMA_BYTES // 1024} KiB, and {MAX_SCHEMA_COST:,} steps" in limits
