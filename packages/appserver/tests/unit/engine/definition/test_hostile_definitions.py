"""Hostile definitions: whatever is written, a check ends with problems, and holds up nobody."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from appserver.engine.definition.diff import compared
from appserver.engine.definition.parsing import check_definition, check_definition_aside, stored_definition
from appserver.modules.builtin import host_registry
from appsupport.workflows.small_modules import definition, module, small_registry

SMALL, SHIPPED = small_registry(), host_registry()
WORDS = [
    "", "$where", "$ref", "#/x", "{{", "}}", "{{ input.x }}", "{{ modules.n.number }}", "{{ state.x }}", "{{ item }}",
    "{% x %}", "../", "\0", "\ud800", "n", "input.x", "modules.n.number", "give.scenes@1", "do.each@1", "eq", "schema",
]  # fmt: skip
KEYS = st.sampled_from([*WORDS, "id", "type", "in", "out", "when", "run", "items", "path", "op", "value", "all", "not"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=4)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
RUN = [
    module("a", inputs={"value": "{{ item.n }}"}),
    module("b", if_={"not": {"path": "index", "op": "gt", "value": 1}}),
]
GOOD = definition(
    module("n", inputs={"value": 3}, out={"x": "number"}),
    module(
        "s",
        "give.scenes@1",
        inputs={"title": "{{ state.x }}!", "scenes": [{"text": "a"}], "schema": {"type": "object"}},
    ),
    module("e", "do.each@1", inputs={"items": "{{ modules.s.scenes }}", "run": RUN}),
    input={"type": "object", "properties": {"x": {"type": "string"}}},
    output={"x": {"$ref": "modules.e.results", "default": []}},
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


PLACES = [place for place in places(GOOD) if place]


def changed(changes: list[tuple[tuple[Any, ...], str, Any]]) -> Any:
    """Return the good definition with other values at some places, as far as they are still there."""
    found: Any = copy.deepcopy(GOOD)
    for path, name, value in changes:
        holder = found
        for part in path[:-1]:
            known = holder if isinstance(holder, dict) else dict(enumerate(holder)) if isinstance(holder, list) else {}
            holder = known.get(part)
        if isinstance(holder, dict):
            holder[name or path[-1]] = value
        elif isinstance(holder, list):
            holder.append(value)
    return found


CHANGES = st.lists(st.tuples(st.sampled_from(PLACES), st.just("") | KEYS, JSON), min_size=1, max_size=4)


def checked(value: Any) -> None:
    for registry in (SMALL, SHIPPED, None):
        found = check_definition(json.dumps(value).encode(), registry)
        assert all(problem.message for problem in found.problems)
        if found.definition is not None and not found.refused:
            again = stored_definition(found.definition.as_json())
            assert not compared(found.definition, again)


@settings(deadline=None)
@given(JSON)
def test_any_json_ends_with_problems(value: Any) -> None:
    assert check_definition(json.dumps(value).encode(), SMALL).problems


@settings(deadline=None)
@given(CHANGES)
def test_any_change_of_a_good_definition_is_judged(changes: list[tuple[tuple[Any, ...], str, Any]]) -> None:
    checked(changed(changes))


@given(st.binary(max_size=200))
def test_any_bytes_end_with_problems(raw: bytes) -> None:
    assert check_definition(raw, SMALL).problems


def test_good_definition_has_no_problems() -> None:
    assert check_definition(GOOD, SMALL).problems == ()


async def test_large_check_leaves_the_loop_free() -> None:
    patterns = {f"p{number}": {"type": "string", "pattern": f"[a-z]{{1,{number + 1}}}"} for number in range(20)}
    large = definition(
        *[
            module(f"m{each}", "give.scenes@1", inputs={"schema": {"properties": {**patterns, f"q{each}": {}}}})
            for each in range(100)
        ]
    )
    raw = json.dumps(large).encode()

    assert min([await longest_wait(raw) for _ in range(5)]) < 0.05


async def longest_wait(raw: bytes) -> float:
    """Return the longest time for which the loop did nothing else while a definition was checked."""
    check = asyncio.create_task(check_definition_aside(raw, SMALL))
    longest, before = 0.0, time.monotonic()
    while not check.done():
        await asyncio.sleep(0.001)
        longest, before = max(longest, time.monotonic() - before - 0.001), time.monotonic()
    assert (await check).problems == ()
    return longest
