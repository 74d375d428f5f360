from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from appserver.__main__ import main
from appsupport.workflows.small_modules import definition, module

GOOD = definition(module("pause", "user.pause@1", inputs={"title": "Go on?"}))
BAD = definition(module("pause", "user.pose@1"), nope=1)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name, content in {"good": json.dumps(GOOD), "bad": json.dumps(BAD), "broken": "{"}.items():
        (tmp_path / name).write_text(content)
    return {name: str(tmp_path / name) for name in ("good", "bad", "broken", "missing")}


def test_check_tells_every_problem_by_file(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflows", "check", *files.values()]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{files['good']}: no problems"
    assert lines[1].startswith(f"{files['bad']}#/nope: unknown_field: there is no field 'nope' here (")
    assert lines[2].startswith(f"{files['broken']}#: no_json: ")
    assert lines[3] == f"{files['missing']}#: unreadable: the file cannot be read: No such file or directory"


def test_good_definition_exits_with_zero(files: dict[str, str]) -> None:
    assert main(["workflows", "check", files["good"]]) == 0


def test_lacking_module_may_be_a_warning(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    Path(files["bad"]).write_text(json.dumps(definition(module("pause", "user.pose@1"))))

    assert main(["workflows", "check", "--lacking", "warning", files["bad"]]) == 0
    assert "/type: warning: unknown_type: " in capsys.readouterr().out
    assert main(["workflows", "check", "--json", files["bad"]]) == 1
    (found,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert found["hint"] == "did you mean user.pause@1?"
    assert (found["file"], found["severity"]) == (files["bad"], "error")


def test_schema_is_printed_for_editors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflows", "schema"]) == 0

    Draft202012Validator(json.loads(capsys.readouterr().out), offline=True).validate(GOOD)


def test_modules_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflows", "modules"]) == 0
    assert "user.form@1 " in capsys.readouterr().out
    assert main(["workflows", "modules", "--json"]) == 0
    listed: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert main(["workflows", "show", "user.form@1"]) == 0
    assert json.loads(capsys.readouterr().out) in listed


def test_unknown_module_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflows", "show", "user.frm@1"]) == 1
    assert "did you mean user.form@1?" in capsys.readouterr().err


def test_simulation_prints_log_and_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = {"type": "object", "properties": {"topic": {"type": "string"}}}
    form = module("form", "user.form@1", inputs={"title": "What?", "schema": schema})
    tale, script = tmp_path / "tale.json", tmp_path / "script.json"
    tale.write_text(json.dumps(definition(form, module("stop", "user.pause@1", inputs={"title": "Go on?"}))))
    script.write_text(json.dumps({"answers": {"form": [{"topic": "tides"}]}}))

    code = main(["workflows", "simulate", str(tale), "--answers", str(script), "--crash"])

    told = capsys.readouterr()
    assert code == 0
    assert [json.loads(line)["type"] for line in told.out.splitlines()][-1] == "interaction_requested"
    assert "answers.stop" in told.err
    assert "no difference after a crash behind each of 2 commits" in told.err


@pytest.mark.parametrize("script", ["[]", '{"tasks": {"picture": ["nonsense"]}}', "{"])
def test_wrong_script_is_told(files: dict[str, str], capsys: pytest.CaptureFixture[str], script: str) -> None:
    Path(files["broken"]).write_text(script)

    assert main(["workflows", "simulate", files["good"], "--answers", files["broken"]]) == 1
    assert capsys.readouterr().err.startswith("appserver: ")
