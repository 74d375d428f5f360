"""Rows of a benchmark: what was measured, what the same work costs with bare driver calls, and the ratio."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measure.

    Args:
        id: A short name, the same in every run.
        value: What ours took or reached.
        unit: Of *value* and *floor*.
        floor: The same work with bare driver calls, in the same run.
        target: What the ratio of *value* to *floor* must be: at least this for rates, at most this for times.
        rate: Whether more is better.
    """

    id: str
    value: float
    unit: str
    floor: float
    target: float
    rate: bool

    @property
    def ratio(self) -> float:
        """Ours over the floor's."""
        return self.value / self.floor

    @property
    def holds(self) -> bool:
        """Whether the target is met."""
        return self.ratio >= self.target if self.rate else self.ratio <= self.target


def table(rows: Sequence[Row]) -> str:
    """Return *rows* as a table for people."""
    head = f"{'measure':<28}{'ours':>12}{'floor':>12}  {'unit':<8}{'ratio':>8}{'target':>10}  holds"
    lines = [
        f"{row.id:<28}{row.value:>12,.1f}{row.floor:>12,.1f}  {row.unit:<8}{row.ratio:>8.2f}"
        f"{('>= ' if row.rate else '<= ') + str(row.target):>10}  {'yes' if row.holds else 'NO'}"
        for row in rows
    ]
    return "\n".join([head, *lines])


def write_json(rows: Sequence[Row], file: Path) -> None:
    """Write *rows* to *file* for programs."""
    found = [asdict(row) | {"ratio": round(row.ratio, 3), "holds": row.holds} for row in rows]
    file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
