"""The canonical form of content, and its hash."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from appdb import InvalidDataError, content_hash
from appdb.canonical import MAX_DEPTH, canonical_json, check_shape


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_hash_is_that_of_canonical_form() -> None:
    content = {"z": [1, 2.5, None, True], "a": {"é": "\n", "$a.b": -0.0}, "numbers": [1e21, 333333333.33333329, 1e-7]}
    canonical = '{"a":{"$a.b":0,"é":"\\n"},"numbers":[1e+21,333333333.3333333,1e-7],"z":[1,2.5,null,true]}'

    assert canonical_json(content, field="content") == canonical.encode()
    assert content_hash(content) == f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def test_keys_follow_order_of_standard() -> None:
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    canonical = canonical_json(dict.fromkeys(keys, 0), field="content").decode()
    order = ["\\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]

    assert canonical == "{" + ",".join(f'"{key}":0' for key in order) + "}"


def test_one_equals_float_but_not_text_or_true() -> None:
    hashes = [content_hash({"a": value}) for value in (1, 1.0, "1", True, None, [1])]

    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 5


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), float("nan"), float("inf"), "\ud800", {"\ud800": 1}, {1: 2}, b"bytes", object(), {1, 2}]
)
def test_non_canonical_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidDataError, match=r"definition: it (is not canonical JSON|holds )"):
        content_hash({"a": value})


def test_depth_is_limited() -> None:
    assert content_hash(nested(MAX_DEPTH))
    with pytest.raises(InvalidDataError, match="deeper than 64 levels"):
        content_hash(nested(MAX_DEPTH + 1))
    with pytest.raises(InvalidDataError, match="deeper than 64 levels"):
        content_hash(nested(50_000))


def test_reference_lost_by_bson_is_refused() -> None:
    check_shape({"$ref": "a", "$id": "b", "$db": "c"}, field="value")
    check_shape({"$ref": "a", "$db": None}, field="value")
    with pytest.raises(InvalidDataError, match=r"value: .* \$db cannot be null"):
        check_shape([{"$ref": "a", "$id": "b", "$db": None}], field="value")
