"""Hashing ignores the order of keys and nothing else, for any JSON there is."""

from __future__ import annotations

import random
from typing import Any

import bson
from bson import CodecOptions
from hypothesis import assume, given
from hypothesis import strategies as st

from appdb import InvalidDataError, content_hash
from appdb._driver import READING
from appdb.canonical import check_shape

SAFE = 2**53 - 1
KEYS = st.one_of(st.sampled_from(["a", "b", "a.b", "$ref", "$id", "$db", "$set", ""]), st.text(max_size=5)).filter(
    lambda key: "\x00" not in key  # which BSON has no form for, and which is refused
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-SAFE, SAFE),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from([0, 1, 1.0, "1", True, "true", "", 0.1, -0.0]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


def same(one: object, other: object) -> bool:
    """Whether two values are the same JSON, told in another way than by their canonical forms."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(part, other[key]) for key, part in one.items())
    return type(one) is type(other) and one == other


def shuffled(value: object, rng: random.Random) -> Any:
    """The value with the keys of all its objects in another order."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    if isinstance(value, list):
        return [shuffled(part, rng) for part in value]
    return value


def changed(value: object, draw: st.DrawFn) -> object:
    """The value with something in it, at any depth, replaced, removed, renamed, added or moved."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        rest = {name: part for name, part in value.items() if name != key}
        renamed = {draw(KEYS): value[key]} | rest
        return (
            draw(st.sampled_from([rest, renamed])) if draw(st.booleans()) else rest | {key: changed(value[key], draw)}
        )
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        others = value[:place] + value[place + 1 :]
        moved = [value[place], *others]
        return draw(
            st.sampled_from(
                [others, moved, [*value, None], [*value[:place], changed(value[place], draw), *value[place + 1 :]]]
            )
        )
    return draw(VALUES)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    one = draw(OBJECTS)
    other = changed(one, draw)
    return one, other if isinstance(other, dict) else {**one, "other": other}


def is_lawful(content: object) -> bool:
    try:
        check_shape(content, field="content")
    except InvalidDataError:
        return False
    return True


@given(OBJECTS.filter(is_lawful), st.randoms(use_true_random=False))
def test_key_order_does_not_count(content: dict[str, Any], rng: random.Random) -> None:
    assert content_hash(shuffled(content, rng)) == content_hash(content)


@given(pairs())
def test_equal_hash_means_equal_content(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    one, other = pair
    assume(is_lawful(one) and is_lawful(other))

    assert (content_hash(one) == content_hash(other)) is same(one, other)


@given(st.lists(SCALARS, min_size=2, max_size=5, unique_by=repr), st.randoms(use_true_random=False))
def test_list_order_counts(parts: list[object], rng: random.Random) -> None:
    other = list(parts)
    rng.shuffle(other)

    assert (content_hash({"a": parts}) == content_hash({"a": other})) is same(parts, other)


@given(OBJECTS.filter(is_lawful))
def test_content_survives_bson(content: dict[str, Any]) -> None:
    stored = bson.decode(bson.encode({"definition": content}), CodecOptions(**READING))

    assert same(stored["definition"], content)
