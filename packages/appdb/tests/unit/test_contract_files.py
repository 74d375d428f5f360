"""The files of the contract: one per collection in three folders, and every query in one of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import appdb
from appdb._schema import collections
from appsupport.documents.collections_page import EXAMPLES
from appsupport.documents.example import Example

SOURCES = Path(appdb.__file__).parent
FOLDERS = ("models", "_queries", "_schema")
NAMED = {value for name, value in vars(collections).items() if name.isupper() and not name.endswith("_BUCKET")}
FILES = sorted(NAMED | {"gridfs"})
"""One for each collection, and one for both GridFS buckets."""
QUERY_FOLDERS = {"_queries", "_schema"}
OPERATOR = re.compile(r"\$\$?[A-Za-z]")
NOT_OURS = {
    "canonical.py": "tells a DBRef by its keys",
    "payload_schema.py": "keywords of JSON Schema",
    "cli/bench_measures.py": "bare driver calls on a collection of its own, to compare with",
}
"""Files that hold names with ``$`` for another reason."""


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", FILES)
def test_collection_has_its_file(folder: str, name: str) -> None:
    assert (SOURCES / folder / f"{name}.py").is_file(), f"{name} has no file of its name in appdb/{folder}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.model.__name__)
def test_model_stands_in_the_file_of_its_collection(example: Example) -> None:
    file = "gridfs" if "." in example.collection else example.collection

    assert example.model.__module__ == f"appdb.models.{file}"


def test_queries_stand_in_their_folder() -> None:
    found = [
        f"{path.relative_to(SOURCES)}:{line}: {word}"
        for path in sorted(SOURCES.rglob("*.py"))
        if not _is_left_out(path)
        for line, word in _operators(ast.parse(path.read_text("utf-8")))
    ]

    assert found == [], "make it a named function of appdb/_queries"


def test_operators_are_found_in_any_text() -> None:
    source = 'tasks.update_one(match, {"$set": {"state": "queued"}, "$inc": {"attempt": 1}})\nnow = f"$$NOW"'

    assert [word for _, word in _operators(ast.parse(source))] == ["$$NOW", "$set", "$inc"]


def _is_left_out(path: Path) -> bool:
    inner = path.relative_to(SOURCES)
    # The driver's seam asks the server about itself, and released migrations never change.
    own = inner.parts[0] in QUERY_FOLDERS | {"_driver"} or inner.match("migrations/m0*.py")
    return own or inner.as_posix() in NOT_OURS


def _operators(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield each text that names an operator, a field path or a variable of MongoDB, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and OPERATOR.match(node.value):
            yield node.lineno, node.value
