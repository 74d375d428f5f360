"""House rules, counted in the sources: names of tests and classes, lengths of functions, first words of docstrings."""

from __future__ import annotations

import ast
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("appdb", "appserver", "appworker")
TESTS = ("packages/*/tests/**/*.py", "tests/**/*.py")
MEDIAN_WORDS = 6
MOST_WORDS = 10
"""Words that nine of ten names of tests stay within."""
P95_LINES = 16
MOST_LINES = 40
INDIRECT = re.compile(r"(What|Which|How|Who|Whom|Whose|When|Whether|Where|Whoever|Whatever)\b")
"""First words of a docstring that names no thing."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def sources(package: str) -> list[Path]:
    return sorted((ROOT / "packages" / package / "src").rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[Function]:
    yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def body_lines(function: Function) -> int:
    """Return how many lines a function has below its docstring."""
    statements = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def words(name: str) -> int:
    return len(name.removeprefix("test_").split("_"))


def names_of_tests(file: Path) -> list[str]:
    return [function.name for function in functions(parsed(file)) if function.name.startswith("test_")]


def indirect_docstrings(tree: ast.Module) -> list[str]:
    """Return the modules and classes whose docstring begins with a question's word."""
    documented = [node for node in ast.walk(tree) if isinstance(node, Documented)]
    texts = {getattr(node, "name", "the module"): ast.get_docstring(node) or "" for node in documented}
    return [name for name, text in texts.items() if INDIRECT.match(text)]


@pytest.fixture(scope="session")
def names() -> list[str]:
    """The names of all tests."""
    return [name for pattern in TESTS for file in ROOT.glob(pattern) for name in names_of_tests(file)]


def test_names_of_tests_are_short(names: list[str]) -> None:
    counts = sorted(map(words, names))

    assert statistics.median(counts) <= MEDIAN_WORDS
    assert counts[len(counts) * 9 // 10] <= MOST_WORDS, [name for name in names if words(name) > MOST_WORDS]


def test_names_of_tests_are_unique_in_file() -> None:
    files = [file for pattern in TESTS for file in ROOT.glob(pattern)]

    assert [file for file in files if len(set(found := names_of_tests(file))) < len(found)] == []


def test_no_class_name_is_used_twice() -> None:
    places = defaultdict(list)
    for file in (file for package in PACKAGES for file in sources(package)):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(file.relative_to(ROOT)))

    assert {name: files for name, files in places.items() if len(files) > 1} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_are_short(package: str) -> None:
    found = [(body_lines(one), file.name, one.name) for file in sources(package) for one in functions(parsed(file))]
    sizes = sorted(size for size, *_ in found if size)

    assert sizes[len(sizes) * 95 // 100] <= P95_LINES
    assert [one for one in found if one[0] > MOST_LINES] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_name_their_thing(package: str) -> None:
    found = {str(file.relative_to(ROOT)): indirect_docstrings(parsed(file)) for file in sources(package)}

    assert {file: names for file, names in found.items() if names} == {}
