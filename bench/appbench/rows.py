"""Rows of a benchmark: the measured value, the floor of bare driver calls, and the target.

One convention for all rows. With a floor, ``ratio`` is value over floor, and the target bounds the ratio. Without one,
the target bounds the value itself, in its unit, and ``ratio`` is value over target. ``bound`` says which side is good.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measure.

    Args:
        id: A short name, the same in every run.
        value: What ours took or reached.
        unit: Of *value* and *floor*.
        bound: Whether the target must be reached, or must not be passed.
        target: What the ratio must be when there is a floor, else what the value must be.
        floor: The same work with bare driver calls, in the same run; ``None`` for a target that stands by itself.
    """

    id: str
    value: float
    unit: str
    bound: Literal[">=", "<="]
    target: float
    floor: float | None = None

    @property
    def ratio(self) -> float:
        """Ours over the floor's, or over the target where there is no floor."""
        return self.value / (self.target if self.floor is None else self.floor)

    @property
    def holds(self) -> bool:
        """Whether the target is met."""
        judged = self.value if self.floor is None else self.ratio
        return judged >= self.target if self.bound == ">=" else judged <= self.target


HEAD = f"{'measure':<46}{'ours':>11}{'floor':>11}  {'unit':<9}{'ratio':>7}{'target':>10}  holds"


def line(row: Row) -> str:
    """Return *row* as a line for people, below ``HEAD``."""
    floor = "" if row.floor is None else _short(row.floor)
    target = f"{row.bound} {row.target:g}"
    return (
        f"{row.id:<46}{_short(row.value):>11}{floor:>11}  {row.unit:<9}{row.ratio:>7.2f}{target:>10}"
        f"  {'yes' if row.holds else 'NO'}"
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:,.1f}" if value >= 10 else f"{value:,.3f}"


def write_json(rows: Sequence[Row], file: Path) -> None:
    """Write *rows* to *file* for programs."""
    found = [asdict(row) | {"ratio": round(row.ratio, 4), "holds": row.holds} for row in rows]
    file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
