"""Choices that do not repeat what was just had."""

from __future__ import annotations

from random import Random

import pytest

from appserver.modules.choices import pick_not_recent

OPTIONS = [f"option {number}" for number in range(10)]


def test_recent_option_is_picked_last() -> None:
    for seed in range(200):
        picked = pick_not_recent(OPTIONS, OPTIONS[:6], count=4, rng=Random(seed))

        assert sorted(picked) == OPTIONS[6:]


def test_longest_unused_option_comes_next() -> None:
    recent = ["option 3", "gone", "option 1", "option 3", "option 2"]
    picked = pick_not_recent(["option 1", "option 2", "option 3", "new"], recent, count=3, rng=Random(1))

    assert picked == ["new", "option 2", "option 1"]


def test_seed_repeats_choice() -> None:
    first, again, *others = [pick_not_recent(OPTIONS, [], count=5, rng=Random(seed)) for seed in (7, 7, *range(20))]

    assert first == again
    assert len({tuple(one) for one in others}) > 10
    assert all(len(set(one)) == 5 for one in others)


def test_every_option_has_chance() -> None:
    rng = Random(1)

    assert {pick_not_recent(OPTIONS, [], count=1, rng=rng)[0] for _ in range(500)} == set(OPTIONS)


def test_too_few_options_are_all_picked_once() -> None:
    assert sorted(pick_not_recent(["a", "b", "a"], ["b"], count=9, rng=Random(1))) == ["a", "b"]
    assert pick_not_recent([], ["b"], count=2, rng=Random(1)) == []
    assert pick_not_recent(OPTIONS, [], count=0, rng=Random(1)) == []
    with pytest.raises(ValueError, match="pick 0 or more"):
        pick_not_recent(OPTIONS, [], count=-1, rng=Random(1))
