"""The vocabulary: words that the glossary has replaced do not come back as names in the sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPLACED = {
    "absence": "unattended",
    "bereaved": "child finished",
    "desk": "attempt services",
    "dispatcher": "claiming",
    "folding": "transitions, fold",
    "intake": "enqueue",
    "journal": "task log",
    "keeper": "lease renewer",
    "patience": "retry timeout",
    "performer": "attempt runner",
    "recall": "get step",
    "rival": "competitor",
    "rivals": "competitors",
    "rush": "busy streak",
    "spill": "archive",
    "story": "task log, event text",
    "survey": "queue snapshot",
    "sweeping": "maintenance",
    "upkeep": "maintenance",
}
"""Old words, and the glossary's."""
RELEASED = re.compile(r"m\d{4}_\w+\.py")
"""Released migrations, which never change."""
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
TERM = re.compile(r"^\| (?!term )([a-z][\w ]*?) \|", re.MULTILINE)


def words(name: str) -> list[str]:
    """Return the words of a name in snake or camel case."""
    return [word.lower() for word in WORD.findall(name)]


def names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module defines or uses."""
    for node in ast.walk(tree):
        for field in ("name", "id", "attr", "arg", "module"):
            if isinstance(value := getattr(node, field, None), str):
                yield value


def replaced(source: str) -> set[str]:
    return {name for name in names(ast.parse(source)) if REPLACED.keys() & set(words(name))}


def sources() -> list[Path]:
    found = ROOT.glob("packages/*/src/**/*.py")
    return sorted(file for file in found if not RELEASED.fullmatch(file.name))


@cache
def glossary() -> str:
    return (ROOT / "docs/glossary.md").read_text(encoding="utf-8")


def test_replaced_words_name_nothing() -> None:
    found = {str(file.relative_to(ROOT)): replaced(file.read_text(encoding="utf-8")) for file in sources()}

    assert {file: old for file, old in found.items() if old} == {}


def test_files_are_not_named_by_replaced_words() -> None:
    assert [file for file in sources() if REPLACED.keys() & set(words(file.stem))] == []


def test_glossary_has_each_term_once() -> None:
    terms = TERM.findall(glossary())

    assert len(terms) > 40
    assert sorted(terms) == sorted(set(terms))


def test_glossary_uses_no_replaced_word() -> None:
    assert [word for word in REPLACED if re.search(rf"\b{word}\b", glossary())] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class LeaseKeeper: ...", {"LeaseKeeper"}),
        ("def run_upkeep(): ...", {"run_upkeep"}),
        ("found.rivals = PATIENCE", {"rivals", "PATIENCE"}),
        ("import appworker.keeper", {"appworker.keeper"}),
        ("history = innkeepers = 1", set()),
    ],
)
def test_replaced_word_is_found(source: str, expected: set[str]) -> None:
    assert replaced(source) == expected
