"""The import contracts of ``pyproject.toml``: each sees the arrow that it is there for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

CIRCLE = "no import circle, at run time or for types"
LAYERS = "appdb's rooms stand in layers"
ONE_DRIVER = "only appdb._driver names a driver"

FOR_TYPES = (
    "\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from appdb.database import Database as _Above\n"
)
BREACHES = {
    "a mixin names the database for types": ("mixins/migrations.py", FOR_TYPES, {CIRCLE, LAYERS}),
    "a migration's part names the database": ("migrations/_steps.py", FOR_TYPES, {CIRCLE, LAYERS}),
    "a query knows the queue": ("_queries/tasks.py", "\nimport appdb.queue.lease\n", {CIRCLE, LAYERS}),
    "a query knows a repository": ("_queries/tasks.py", "\nimport appdb.repos.user\n", {CIRCLE, LAYERS}),
    "a room has no layer": ("helpers.py", "", {LAYERS}),
    "a query names a driver": ("_queries/tasks.py", "\nimport pymongo\n", {ONE_DRIVER}),
}


@pytest.fixture(scope="session")
def sources(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the three packages' sources, side by side, under the contracts of the repository."""
    place = tmp_path_factory.mktemp("sources")
    for package in root.glob("packages/*/src/*/"):
        shutil.copytree(package, place / package.name)
    shutil.copy(root / "pyproject.toml", place)
    return place


def broken(sources: Path) -> set[str]:
    """Return the names of the contracts that do not hold for *sources*."""
    command = [f"{sysconfig.get_path('scripts')}/lint-imports", "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(sources), "COLUMNS": "200"}
    said = subprocess.run(command, cwd=sources, env=environment, capture_output=True, text=True, check=False).stdout
    assert "Contracts:" in said
    return {line.split(" BROKEN")[0] for line in said.splitlines() if " BROKEN" in line}


def test_sources_keep_every_contract(sources: Path) -> None:
    assert broken(sources) == set()


@pytest.mark.parametrize("breach", BREACHES)
def test_breach_is_seen(sources: Path, breach: str) -> None:
    name, added, expected = BREACHES[breach]
    file = sources / "appdb" / name
    before = file.read_text() if file.exists() else None
    file.write_text((before or "") + added)
    try:
        found = broken(sources)
    finally:
        file.unlink() if before is None else file.write_text(before)

    assert found == expected
