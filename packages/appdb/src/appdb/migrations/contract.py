"""The contract of a database: the version of what its documents mean, and the range of versions that fit."""

from __future__ import annotations

from dataclasses import dataclass

CONTRACT_VERSION = 4
"""What the documents mean. Raised only with a migration that brings the stored ones along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The range of contracts that may work with a database.

    Args:
        newest: What its documents may hold: the contract of the code that migrated it last.
        oldest: The oldest contract whose hosts may still work with it.
    """

    newest: int
    oldest: int
