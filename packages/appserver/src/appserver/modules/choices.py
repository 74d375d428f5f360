"""Choosing what a user did not just have: pure, and the same again for the same chance."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


def pick_not_recent(options: Sequence[str], recent: Sequence[str], *, count: int, rng: Random) -> list[str]:
    """Return *count* different ones of *options* by chance, none that was just had while there are others.

    When fewer than *count* are fresh, the rest are those that were had longest ago.

    Args:
        options: What there is; what is there twice counts once.
        recent: What was had before, the last first, such as the options of ``Database.list_option_usage``.
        count: How many to pick; all of them when there are not so many.
        rng: Where chance comes from; a ``Random`` with a seed repeats its choices.

    Raises:
        ValueError: *count* is negative.
    """
    if count < 0:
        raise ValueError(f"count is {count}; pick 0 or more")
    different = list(dict.fromkeys(options))
    had = {option: age for age, option in reversed(list(enumerate(recent)))}
    fresh = [option for option in different if option not in had]
    if len(fresh) >= count:
        return rng.sample(fresh, count)
    rng.shuffle(fresh)
    longest_ago = sorted((option for option in different if option in had), key=lambda option: -had[option])
    return [*fresh, *longest_ago[: count - len(fresh)]]
