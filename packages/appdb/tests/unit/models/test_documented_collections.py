"""The documented examples: one for each collection, whole, and as the models have them."""

from __future__ import annotations

import pytest

from appsupport.documents.collections_page import EXAMPLES, MEND, PAGE, declared_collections, with_examples
from appsupport.documents.example import Example


def test_documented_examples_match_models() -> None:
    page = PAGE.read_text("utf-8")

    assert with_examples(page) == page, f"docs/{PAGE.name} is not what the models say: run `{MEND}`"


def test_every_collection_has_example() -> None:
    assert {example.collection for example in EXAMPLES} == declared_collections(), (
        "add it to tests/support/appsupport/documents"
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.collection)
def test_example_names_every_field_of_model(example: Example) -> None:
    assert not example.missing(), f"give {example.collection} a value for it in tests/support/appsupport/documents"


def test_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"write .* where the examples belong"):
        with_examples("# Nothing to fill")
