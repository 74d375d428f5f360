"""The public surface of appdb: tests of hosts, the queue's contract, the demo and the bench import nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PUBLIC = frozenset({"appdb", "appdb.embedded", "appdb.feed", "appdb.host", "appdb.models", "appdb.testing"})
USERS = (
    "packages/appserver/tests/**/*.py",
    "packages/appworker/tests/**/*.py",
    "packages/appdb/tests/contract/**/*.py",
    "tests/**/*.py",
    "demo/**/*.py",
    "bench/**/*.py",
)
SUPPORT = ROOT / "tests/support/appsupport"
OF_APPDB = ("cli", "documents", "migrations", "runs", "scenarios")
"""Rooms of the support that only appdb's own tests use, which know its inside."""
EXCEPTIONS = {
    # A killed worker's transaction keeps the test's database from being dropped for a minute.
    "appsupport/faults/worker_fleet_fixture.py": {"appdb.queue.orphaned_transactions"},
}


def users() -> Iterator[Path]:
    inside = tuple(SUPPORT / room for room in OF_APPDB)
    for file in (file for pattern in USERS for file in ROOT.glob(pattern)):
        if not any(file.is_relative_to(room) for room in inside):
            yield file


def imported(file: Path) -> Iterator[str]:
    """Yield the modules of appdb that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name for name in names if name.partition(".")[0] == "appdb")


def test_users_import_public_names_only() -> None:
    found = {str(file.relative_to(ROOT)): set(imported(file)) - PUBLIC for file in users()}
    inner = {file: modules for file, modules in found.items() if modules}

    assert inner == {f"tests/support/{file}": modules for file, modules in EXCEPTIONS.items()}


def test_import_of_inner_module_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "user.py"
    file.write_text("import appdb.queue.lease\nfrom appdb._driver import watch\nfrom appdb import Database\n")

    assert set(imported(file)) - PUBLIC == {"appdb.queue.lease", "appdb._driver"}
