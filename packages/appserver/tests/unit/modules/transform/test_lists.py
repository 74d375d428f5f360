"""``transform``'s smaller modules: parts, lists, additions, cases."""

from __future__ import annotations

from appsupport.modules import failure, outputs


def test_missing_part_has_default_or_is_told() -> None:
    inputs = {"value": {"a": [{"b": 1}]}, "paths": {"b": "a.0.b", "c": "a.1.b"}}

    assert failure("transform.extract@1", inputs).problems[0].pointer == "/paths/c"
    assert outputs("transform.extract@1", inputs | {"defaults": {"c": None}}) == {
        "values": {"b": 1, "c": None},
        "missing": ["c"],
    }


def test_equal_items_are_kept_once() -> None:
    lists = [[{"a": 1, "b": 2}, 1], [{"b": 2, "a": 1}, True, 1]]

    assert outputs("transform.concat@1", {"lists": lists, "unique": True})["items"] == [{"a": 1, "b": 2}, 1, True]


def test_too_long_list_is_refused() -> None:
    assert "at most" in failure("transform.concat@1", {"lists": [[0] * 6_000, [0] * 6_000]}).message


def test_addition_is_found_by_common_value() -> None:
    inputs = {
        "items": [{"id": 1, "a": "own"}, {"id": 2}],
        "additions": [{"id": 1, "a": "other", "b": 5}, {"id": 1, "b": 6}],
        "on": "id",
    }

    assert outputs("transform.enrich@1", inputs) == {
        "items": [{"id": 1, "a": "own", "b": 5}, {"id": 2}],
        "unmatched": 1,
    }
    assert outputs("transform.enrich@1", inputs | {"unmatched": "drop", "into": "more"})["items"] == [
        {"id": 1, "a": "own", "more": {"id": 1, "a": "other", "b": 5}}
    ]
    assert failure("transform.enrich@1", inputs | {"unmatched": "fail"}).problems[0].pointer == "/items/1"


def test_large_additions_are_not_multiplied() -> None:
    additions = [{"id": 1, "text": "x" * 200_000}]

    assert (
        "too large"
        in failure("transform.enrich@1", {"items": [{"id": 1}] * 5_000, "additions": additions, "on": "id"}).message
    )


def test_first_case_that_holds_counts() -> None:
    cases = [
        {"when": {"any": [{"path": "n", "op": "gt", "value": 9}, {"path": "s", "op": "exists"}]}, "value": "big"},
        {"when": {"not": {"path": "n", "op": "eq", "value": 0}}, "value": "small"},
    ]

    assert outputs("transform.conditional@1", {"values": {"n": 10}, "cases": cases}) == {"value": "big", "case": 0}
    assert outputs("transform.conditional@1", {"values": {"n": 1}, "cases": cases}) == {"value": "small", "case": 1}
    assert outputs("transform.conditional@1", {"values": {"n": 0}, "cases": cases}) == {"value": None, "case": None}
