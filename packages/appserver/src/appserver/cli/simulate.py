"""``appserver workflows simulate``: a run of a definition without a database, by answers and results from a file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appdb.models import RunStatus
from appserver.errors import AppServerError
from appserver.modules.registry import discovered_modules
from appserver.testing import Fails, Gives, Harness, Outcome, StaysSilent
from appserver.testing.stubs import Stub

SCRIPT_HINT = (
    'a file like {"input": {...}, "answers": {"MODULE": [...]}, "tasks": {"ACTOR": [{"gives": {...}} or '
    '{"fails": "why"} or "silent"]}, "queries": {"NAME": [...]}}'
)


def add_simulate(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; it sets ``run``, which takes the options and returns the exit code."""
    simulate = kinds.add_parser("simulate", help="run a definition without a database, and print its log")
    simulate.add_argument("file", metavar="FILE", help="a definition as JSON")
    simulate.add_argument("--answers", metavar="SCRIPT", help=SCRIPT_HINT.replace("%", "%%"))
    simulate.add_argument(
        "--crash", action="store_true", help="run it again with a crash behind each commit, and compare"
    )
    simulate.set_defaults(run=_simulate)


def _simulate(options: argparse.Namespace) -> int:
    try:
        harness = _harness(Path(options.file), options.answers)
        outcome = harness.run()
        _print_log(outcome)
        if options.crash:
            print(f"no difference after a crash behind each of {harness.crash_everywhere()} commits", file=sys.stderr)  # noqa: T201
    except (OSError, ValueError, AppServerError, AssertionError) as exc:
        print(f"appserver: {exc}", file=sys.stderr)  # noqa: T201
        return 1
    _print_end(outcome)
    return 1 if outcome.status is RunStatus.ERROR else 0


def _harness(file: Path, script_file: str | None) -> Harness:
    script = {} if script_file is None else json.loads(Path(script_file).read_bytes())
    if not isinstance(script, Mapping):
        raise ValueError(f"{script_file}: it is no JSON object; write {SCRIPT_HINT}")  # noqa: TRY004 - what a file holds
    harness = Harness(file.read_bytes(), input=script.get("input", {}), modules=discovered_modules())
    for module, responses in script.get("answers", {}).items():
        harness.answer(module, *responses)
    for actor, stubs in script.get("tasks", {}).items():
        harness.stub(actor, *map(_stub, stubs))
    for name, rows in script.get("queries", {}).items():
        harness.query(name, rows)
    return harness


def _stub(told: Any) -> Stub:
    match told:
        case "silent":
            return StaysSilent()
        case {"gives": dict(result)}:
            return Gives(result=result)
        case {"fails": str(message)}:
            return Fails(message=message)
        case _:
            raise ValueError(f"{told!r:.200} is no end of a task; write {SCRIPT_HINT}")


def _print_log(outcome: Outcome) -> None:
    for event in outcome.events:
        told = {
            "seq": event.seq,
            "type": str(event.type),
            "step": event.step,
            "module": event.module,
            "data": event.data,
        }
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")


def _print_end(outcome: Outcome) -> None:
    """Tell how it ended, or what it waits for, on standard error: the log alone is on standard output."""
    print(f"{outcome.status}", file=sys.stderr)  # noqa: T201
    for wait in outcome.state.waiting_on:
        asked = f"; answer it by answers.{wait.module} in the script" if wait.kind == "interaction" else ""
        print(f"waits for {wait.kind} {wait.id} of module {wait.module}{asked}", file=sys.stderr)  # noqa: T201
    if outcome.error is not None:
        print(f"{outcome.error.get('code')}: {outcome.error.get('message')}", file=sys.stderr)  # noqa: T201
