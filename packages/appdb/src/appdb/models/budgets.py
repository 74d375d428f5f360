"""Budgets: what a run, a user, or a user in one day may cost, and what of that is spent and reserved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field

from appdb._driver import decimal_of
from appdb.errors import InvalidDataError
from appdb.models.base import Document
from appdb.models.bounds import STRICT, Name, accept
from appdb.models.vocabulary import Stored

MAX_MONEY = Decimal(10) ** 9
DECIMAL_PLACES = 12
Money: TypeAlias = Annotated[
    Decimal, Field(strict=True, ge=0, le=MAX_MONEY, decimal_places=DECIMAL_PLACES, allow_inf_nan=False)
]
"""An amount in US dollars that a caller gives: exact, never a float."""
StoredMoney: TypeAlias = Annotated[Decimal, BeforeValidator(decimal_of)]


class BudgetKind(StrEnum):
    """The spending that a budget bounds."""

    USER = "user"
    """All that tasks of one user cost."""
    DAY = "day"
    """What tasks of one user cost in one day, UTC, by the server's clock."""
    RUN = "run"
    """All that tasks of one run cost, and those of its child runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetScope:
    """A budget of an owner.

    Args:
        kind: What it bounds.
        run_id: The run, for a budget of that kind and for no other.
    """

    __pydantic_config__ = STRICT
    kind: BudgetKind
    run_id: Name | None = None

    def check(self) -> None:
        """Check that there is a budget of this scope.

        Raises:
            InvalidDataError: It has a run too many, or none.
        """
        accept(BudgetScope, self, "scope")
        if (self.kind is BudgetKind.RUN) != (self.run_id is not None):
            raise InvalidDataError("scope", "give the run of a run's budget, and of no other")

    def key(self, owner_id: str) -> str:
        """Return the budget's id among those of all owners."""
        return f"{self.kind}:{owner_id if self.run_id is None else self.run_id}"


def scopes_of(run_id: str | None, ancestors: Iterable[str] = ()) -> list[BudgetScope]:
    """Return all budgets that a task counts for: those of its run, of the runs above that, and of its owner."""
    runs = [run_id, *ancestors] if run_id is not None else []
    scopes = [BudgetScope(kind=BudgetKind.RUN, run_id=one) for one in runs]
    return [*scopes, BudgetScope(kind=BudgetKind.USER), BudgetScope(kind=BudgetKind.DAY)]


class BudgetDocument(Document):
    """The whole document in ``budgets``; what is reserved is counted from the tasks."""

    owner_id: str
    kind: Stored[BudgetKind]
    run_id: str | None = None
    limit: StoredMoney | None = None
    """In US dollars; ``None`` for none, while costs are still counted."""
    spent: StoredMoney = Decimal(0)
    """What the calls of tasks cost; of a day's budget, on the last day on which there was one."""
    day: datetime | None = None
    """When that day began."""
    counted: bool = False
    """Whether what was recorded before the budget was made is in what is spent."""
    created_at: datetime
    updated_at: datetime
    touched_at: datetime | None = None
    """When a task was last let in; of two that are let in at once, one begins again."""


class Budget(Document):
    """A limit of costs, and how much of it is left now."""

    owner_id: str
    kind: Stored[BudgetKind]
    run_id: str | None = None
    limit: StoredMoney | None = None
    """In US dollars; ``None`` for none, while costs are still counted."""
    spent: StoredMoney
    """What calls of tasks cost; of a day's budget, today."""
    reserved: StoredMoney
    """What live tasks may still cost, as their estimates say."""
    created_at: datetime
    updated_at: datetime

    @property
    def left(self) -> Decimal | None:
        """What may still be reserved, never negative; ``None`` without a limit."""
        return None if self.limit is None else max(Decimal(0), self.limit - self.spent - self.reserved)
