"""The documented examples: one for each collection, whole, and as the models have them."""

from __future__ import annotations

import pytest

from appsupport.documents.collections_page import EXAMPLES, MEND, PAGE, declared_collections, with_examples
from appsupport.documents.example import Example
from appsupport.documents.stored_fields import unknown_fields


def test_documented_examples_match_models() -> None:
    page = PAGE.read_text("utf-8")

    assert with_examples(page) == page, f"docs/{PAGE.name} is not what the models say: run `{MEND}`"


def test_every_collection_has_example() -> None:
    assert {example.collection for example in EXAMPLES} == declared_collections(), (
        "add it to tests/support/appsupport/documents"
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.model.__name__)
def test_example_has_the_fields_of_its_model(example: Example) -> None:
    assert not example.missing(), f"give {example.collection} a value for it in tests/support/appsupport/documents"
    assert unknown_fields(example.collection, example.document()) == []


@pytest.mark.parametrize(
    ("collection", "field"), [("tasks", "color"), ("tasks", "lease.color"), ("tasks", "tail.events.color")]
)
def test_field_without_model_is_found(collection: str, field: str) -> None:
    document = next(example for example in EXAMPLES if example.collection == collection).document()
    *path, last = field.split(".")
    part = document
    for name in path:
        part = part[name][0] if isinstance(part[name], list) else part[name]
    part[last] = "red"

    assert unknown_fields(collection, document) == [field]


def test_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"write .* where the examples belong"):
        with_examples("# Nothing to fill")
