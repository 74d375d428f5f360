"""Contention: a transaction that living competitors keep from its documents is given up after a while."""

from __future__ import annotations

import time

from appdb.orphaned_transactions import CONTENTION_WAIT

FIRST_REFUSED = 2
"""The number of the try before which a transaction was refused once."""
LONGEST_SECONDS = 2 * CONTENTION_WAIT.total_seconds()
"""Half of it passes before the transactions of dead hosts are ended, and the other half shows that others live."""


class ContendedError(Exception):
    """Other transactions of living hosts keep writing to the same documents, so this one is given up."""


class Contention:
    """
    The tries of one transaction that competitors keep from its documents.

    Only time after a first refusal counts: where the database is far, one try takes long without any competitor.
    """

    def __init__(self) -> None:
        self._tries = 0
        self._until = 0.0

    def try_again(self) -> None:
        """Begin a try.

        Raises:
            ContendedError: It was refused for four seconds.
        """
        # The first try has met no competitor yet, so the wait begins with the second.
        self._tries += 1
        if self._tries == FIRST_REFUSED:
            self._until = time.monotonic() + LONGEST_SECONDS
        if self._tries >= FIRST_REFUSED and time.monotonic() >= self._until:
            raise ContendedError
