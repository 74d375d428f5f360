"""Choices: options that a user has not had recently. Pure; a seeded ``Random`` repeats the choice."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random


def pick_not_recent(options: Sequence[str], recent: Sequence[str], *, count: int, rng: Random) -> list[str]:
    """Return *count* different *options* at random; one that was had recently only when there are no others.

    When too few are left, the rest are those that were had longest ago.

    Args:
        options: All options; one that stands there twice counts once.
        recent: The options that were had before, the last first, as ``Database.list_option_usage`` gives them.
        count: How many to pick; all options when there are fewer.
        rng: The source of chance; a ``Random`` with a seed repeats its choices.

    Raises:
        ValueError: *count* is negative.
    """
    if count < 0:
        raise ValueError(f"count is {count}; pick 0 or more")
    different = list(dict.fromkeys(options))
    # Reversed, so that of an option that was had twice the latest use counts.
    had = {option: age for age, option in reversed(list(enumerate(recent)))}
    fresh = [option for option in different if option not in had]
    if len(fresh) >= count:
        return rng.sample(fresh, count)
    rng.shuffle(fresh)
    longest_ago = sorted((option for option in different if option in had), key=lambda option: -had[option])
    return [*fresh, *longest_ago[: count - len(fresh)]]
