"""The public surface of appdb: hosts, their tests, the demo, benchmarks and documents import nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PUBLIC = ("appdb", "appdb.embedded", "appdb.feed", "appdb.host", "appdb.models", "appdb.testing")
MOST_NAMES = 60
"""Names of the root: they fit on one page."""
HELD = (
    "packages/appserver", "packages/appworker", "packages/appdb/tests/contract", "tests", "demo", "bench",
)  # fmt: skip
OF_APPDB = ("cli", "documents", "migrations", "runs", "scenarios")
"""Rooms of `tests/support/appsupport` that only appdb's own tests use; they know its inside."""
PYTHON = re.compile(r"^( *)```python\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
DOCUMENTS = sorted(
    str(file.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "bench/*.md", "packages/*/README.md")
    for file in ROOT.glob(pattern)
)


def imported(source: str) -> Iterator[str]:
    """Yield the modules of appdb that *source* imports, and of ``from`` imports each name of a private module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "appdb")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "appdb":
            yield from (named(node.module or "", alias.name) for alias in node.names)


def named(module: str, name: str) -> str:
    """Return the module that an import asks for: perhaps the name is a module itself."""
    if module in PUBLIC and name in exported(module):
        return module
    return f"{module}.{name}" if module in PUBLIC else module


@cache
def exported(module: str) -> frozenset[str]:
    """Return what ``__all__`` of a public module lists; read, not imported, since nothing is installed here."""
    place = ROOT / "packages/appdb/src" / module.replace(".", "/")
    tree = ast.parse((place / "__init__.py" if place.is_dir() else place.with_suffix(".py")).read_text("utf-8"))
    (names,) = [
        one.value for one in tree.body if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "__all__"
    ]
    return frozenset(ast.literal_eval(names))


def private(source: str) -> set[str]:
    return {module for module in imported(source) if module not in PUBLIC}


def sources() -> Iterator[Path]:
    inside = [ROOT / "tests/support/appsupport" / room for room in OF_APPDB]
    for file in (file for folder in HELD for file in sorted((ROOT / folder).rglob("*.py"))):
        if not any(file.is_relative_to(room) for room in inside):
            yield file


def test_root_fits_on_a_page() -> None:
    assert len(exported("appdb")) <= MOST_NAMES
    assert all(exported(module) for module in PUBLIC)


def test_no_name_is_public_twice() -> None:
    owners = [(name, module) for module in PUBLIC for name in exported(module)]
    twice = {name for name, _ in owners if sum(name == other for other, _ in owners) > 1}

    # What users write every day stands in the root too.
    assert twice <= exported("appdb") & (exported("appdb.models") | exported("appdb.feed"))


def test_hosts_and_their_tests_import_the_surface_alone() -> None:
    found = {str(file.relative_to(ROOT)): private(file.read_text(encoding="utf-8")) for file in sources()}

    assert {file: modules for file, modules in found.items() if modules} == {}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_examples_of_documents_import_the_surface_alone(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    examples = [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in PYTHON.findall(text)]

    assert [private(example) for example in examples if private(example)] == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from appdb import Database, TaskQueue", set()),
        ("from appdb.models import Content", set()),
        ("import appdb", set()),
        ("from appdb.queue.steps import check_key", {"appdb.queue.steps"}),
        ("from appdb.models.tasks import Task", {"appdb.models.tasks"}),
        ("from appdb import database", {"appdb.database"}),
        ("import appdb.connection", {"appdb.connection"}),
        ("from appdbx import nothing", set()),
    ],
)
def test_private_import_is_found(line: str, expected: set[str]) -> None:
    assert private(line) == expected
