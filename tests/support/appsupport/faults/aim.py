"""The aim of a race between two sides: who begins, and how much sooner, so that either wins about as often."""

from __future__ import annotations

import random

JITTER_STEPS = 3


class Aim:
    """
    How much sooner the first side begins: more after each of its losses, less after each win.

    So the rounds gather around the moment that decides, however slow machine and sides are.

    Args:
        chance: Spreads the rounds around that moment.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._behind = 0

    def lead(self, step: float) -> float:
        """Return by how much the first side begins before the other, in seconds: negative where it begins later."""
        return step * (self._behind + self._chance.uniform(-JITTER_STEPS, JITTER_STEPS))

    def heard(self, *, first_won: bool) -> None:
        """Hear who has won a round."""
        self._behind += -1 if first_won else 1
