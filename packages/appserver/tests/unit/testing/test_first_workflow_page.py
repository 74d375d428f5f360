"""The guide of a first workflow: its definition, its script and its tests do what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appserver.__main__ import main

GUIDE = Path(__file__).parents[5] / "docs/first-workflow.md"


@pytest.fixture
def blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tests of the page; its other files are saved where it says."""
    monkeypatch.chdir(tmp_path)
    found = re.findall(r"```(\w+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    definition, script = (text for kind, text in found if kind == "json")
    Path("postcard.json").write_text(definition)
    Path("script.json").write_text(script)
    return [text for kind, text in found if kind == "python"]


@pytest.mark.usefixtures("blocks")
def test_commands_of_the_page_find_nothing_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflows", "check", "postcard.json"]) == 0
    assert main(["workflows", "simulate", "postcard.json", "--answers", "script.json", "--crash"]) == 0

    assert "no difference after a crash" in capsys.readouterr().err


@pytest.mark.usefixtures("blocks")
def test_misspelt_reference_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    text = Path("postcard.json").read_text()
    Path("postcard.json").write_text(text.replace("answer.place", "answer.plaice"))

    assert main(["workflows", "check", "postcard.json"]) == 1
    assert capsys.readouterr().out.count("plaice") >= 2


def test_tests_of_the_page_pass(blocks: list[str]) -> None:
    names: dict[str, object] = {}
    exec(compile(blocks[0], "test_postcard.py", "exec"), names)  # noqa: S102 - the page's own code
    tests = [test for name, test in names.items() if name.startswith("test_") and callable(test)]

    for test in tests:
        test()

    assert len(tests) == 5
