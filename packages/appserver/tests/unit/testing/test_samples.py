"""Samples of schemas."""

from __future__ import annotations

from appserver.testing.samples import sample


def test_schema_that_is_true_or_false_has_a_sample() -> None:
    schema = {"type": "object", "properties": {"any": True, "none": False}, "required": ["any", "none"]}

    assert sample(schema) == {"any": None, "none": None}
