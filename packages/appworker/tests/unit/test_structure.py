"""The structure of appworker: small classes, and an actor's process that loads no part of the worker."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import appworker

SOURCES = Path(appworker.__file__).parent
MAX_METHODS = 15
"""A class with more has a second subject."""
LOADED = """
import sys
import appworker.execution.process.child_side
print(*sorted({".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("appworker.")}))
"""


def test_no_class_has_many_methods() -> None:
    classes = [
        node
        for file in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    methods = {
        found.name: sum(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) for part in found.body)
        for found in classes
    }

    assert methods
    assert {name: count for name, count in methods.items() if count > MAX_METHODS} == {}


def test_an_actor_process_loads_no_worker() -> None:
    loaded = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout.split()

    # There is a process for each slot, and each would pay for them with memory.
    assert "appworker.execution" in loaded
    assert not set(loaded) & {f"appworker.{room}" for room in ("attempt", "health", "worker", "settings")}
