"""``appserver workflows``: check definitions, and tell what they are made of."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from appserver.cli.simulate import add_simulate
from appserver.engine.definition.model import MAX_DEFINITION_BYTES
from appserver.engine.definition.parsing import check_definition
from appserver.engine.definition.problems import Hints, problem
from appserver.engine.definition.published import definition_schema
from appserver.errors import DefinitionProblem
from appserver.modules.builtin import host_registry
from appserver.modules.registry import AnyModule, ModuleRegistry


def add_workflows(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``workflows`` commands; each sets ``run``, which takes the options and returns the exit code."""
    workflows = commands.add_parser("workflows", help="check definitions of workflows, and tell what they are made of")
    kinds = workflows.add_subparsers(title="commands", required=True, metavar="COMMAND")
    check = kinds.add_parser("check", help="tell every problem of definitions; exits with 1 when there are errors")
    check.add_argument("files", nargs="+", metavar="FILE", help="a definition as JSON; - reads standard input")
    check.add_argument("--json", action="store_true", help="print the problems as JSON Lines")
    check.add_argument(
        "--lacking",
        choices=("error", "warning"),
        default="error",
        help="what a module type is that is not installed here (default: error)",
    )
    check.set_defaults(run=_check)
    schema = kinds.add_parser("schema", help="print the JSON Schema of definitions, for an editor")
    schema.set_defaults(run=_schema)
    modules = kinds.add_parser("modules", help="list the module types that are installed here")
    modules.add_argument("--json", action="store_true", help="print them as JSON Lines, with schemas and examples")
    modules.set_defaults(run=_modules)
    show = kinds.add_parser("show", help="print a module type: what it takes, what it gives, an example")
    show.add_argument("type", metavar="TYPE", help="such as user.form@1")
    show.set_defaults(run=_show)
    add_simulate(kinds)


def _check(options: argparse.Namespace) -> int:
    registry = host_registry()
    refused = False
    for file in options.files:
        found = _problems_of(file, registry, options.lacking)
        refused = refused or any(each.severity == "error" for each in found)
        _print_problems(file, found, as_json=options.json)
    return 1 if refused else 0


def _problems_of(file: str, registry: ModuleRegistry, lacking: Any) -> Sequence[DefinitionProblem]:
    try:
        raw = _read(file)
    except OSError as exc:
        return [problem("", "unreadable", f"the file cannot be read: {exc.strerror}")]
    return check_definition(raw, registry, lacking=lacking).problems


def _read(file: str) -> bytes:
    # One byte more than is allowed is enough to be told that it is too large.
    if file == "-":
        return sys.stdin.buffer.read(MAX_DEFINITION_BYTES + 1)
    with Path(file).open("rb") as opened:
        return opened.read(MAX_DEFINITION_BYTES + 1)


def _print_problems(file: str, problems: Sequence[DefinitionProblem], *, as_json: bool) -> None:
    for each in problems:
        if as_json:
            _print(json.dumps({"file": file, **each.model_dump()}, ensure_ascii=False))
        else:
            warning = "warning: " if each.severity == "warning" else ""
            hint = f" ({each.hint})" if each.hint else ""
            _print(f"{file}#{each.pointer}: {warning}{each.code}: {each.message}{hint}")
    if not problems and not as_json:
        _print(f"{file}: no problems")


def _schema(_options: argparse.Namespace) -> int:
    _print(json.dumps(definition_schema(host_registry()), indent=2, ensure_ascii=False))
    return 0


def _modules(options: argparse.Namespace) -> int:
    for module in host_registry():
        if options.json:
            _print(json.dumps(_told(module), ensure_ascii=False))
        else:
            _print(f"{module.type:<28} {module.kind.value:<12} {_summary(module)}")
    return 0


def _show(options: argparse.Namespace) -> int:
    registry = host_registry()
    module = registry.find(options.type)
    if module is None:
        hint = Hints().nearest(options.type, (each.type for each in registry))
        _print(f"appserver: there is no module {options.type} here; {hint}", to=sys.stderr)
        return 1
    _print(json.dumps(_told(module), indent=2, ensure_ascii=False))
    return 0


def _summary(module: AnyModule) -> str:
    return (module.__doc__ or "").strip().splitlines()[0] if module.__doc__ else ""


def _told(module: AnyModule) -> Mapping[str, Any]:
    return {
        "type": module.type,
        "kind": module.kind.value,
        "about": _summary(module),
        "inputs": module.Inputs.model_json_schema(),
        "outputs": module.Outputs.model_json_schema(),
        "example": module.example,
    }


def _print(text: str, *, to: TextIO | None = None) -> None:
    # A name of a file may hold bytes that are no text.
    stream = to or sys.stdout
    stream.write(text.encode(errors="backslashreplace").decode() + "\n")
