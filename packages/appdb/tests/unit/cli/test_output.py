"""Output of commands: nothing that a terminal obeys, columns that stand, bars that fit."""

from __future__ import annotations

import json
from datetime import timedelta

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appdb import Progress, TaskState
from appdb.cli.output import json_line, printable, table, width
from appdb.cli.params import duration
from appdb.cli.progress import bar


@given(st.text())
def test_printable_text_is_one_harmless_line(text: str) -> None:
    assert printable(text).isprintable()


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_json_line_is_one_ascii_line(value: dict[str, str | int | None]) -> None:
    line = json_line(value)

    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == value


@given(st.floats(0, 1), st.text(), st.integers(1, 200))
def test_bar_fits_its_line(fraction: float, message: str, columns: int) -> None:
    assert width(bar(Progress(fraction=fraction, message=message), columns)) <= columns


def test_columns_stand_under_their_heads() -> None:
    drawn = click.unstyle(table(("name", "state", "count"), [("世界", TaskState.FAILED, 1_000), ("a\n", "failed", 2)]))

    assert drawn.splitlines() == ["name  state   count", "世界  failed  1,000", "a\\n   failed      2"]


def test_only_states_are_coloured() -> None:
    assert "\x1b" in table(("state",), [(TaskState.FAILED,)])
    assert "\x1b" not in table(("queue",), [("failed",)])


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("250ms", 0.25), ("10m", 600), ("2h", 7_200), ("7d", 604_800)]
)
def test_duration_is_number_and_unit(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)
