from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appserver.engine.definition.diff import Change, DefinitionDiff, compared
from appserver.engine.definition.parsing import parse_definition
from appsupport.workflows.small_modules import definition, module

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True)


def difference(old: dict[str, Any], new: dict[str, Any]) -> DefinitionDiff:
    return compared(parse_definition(old), parse_definition(new))


def lines(*names: str) -> dict[str, Any]:
    return definition(*map(module, names))


def test_same_definition_has_no_difference() -> None:
    assert not difference(lines("a", "b"), lines("a", "b"))


def test_added_removed_and_moved_modules_are_named() -> None:
    found = difference(lines("a", "b", "c", "d"), lines("d", "a", "x", "c"))

    assert (found.added, found.removed, found.moved) == (("x",), ("b",), ("d",))


def test_module_of_another_step_has_moved() -> None:
    old = lines("a", "b")
    new = old | {"steps": [{"id": "only", "modules": [module("a")]}, {"id": "two", "modules": [module("b")]}]}

    found = difference(old, new)

    assert found.moved == ("b",)
    assert [change.pointer for change in found.outside] == ["/steps/two"]


def test_changed_values_are_told_by_pointer() -> None:
    old = definition(module("a", inputs={"value": 1, "list": [1, {"x/y": 2}]}), title="Old")
    new = definition(module("a", "give.number@2", inputs={"list": [1, {"x/y": 3}], "more": None}), title="New")

    found = difference(old, new)

    assert set(found.changed["a"]) == {
        Change(pointer="/type", before="give.number@1", after="give.number@2"),
        Change(pointer="/in/value", before=1, after=None),
        Change(pointer="/in/list/1/x~1y", before=2, after=3),
        Change(pointer="/in/more", before=None, after=None),
    }
    assert found.outside == (Change(pointer="/title", before="Old", after="New"),)


@given(NAMES, NAMES)
def test_every_module_is_told_once(before: list[str], after: list[str]) -> None:
    found = difference(lines(*before), lines(*after))

    assert set(found.added) == {*after} - {*before}
    assert set(found.removed) == {*before} - {*after}
    kept = [name for name in after if name in before and name not in found.moved]
    assert kept == [name for name in before if name in kept]
