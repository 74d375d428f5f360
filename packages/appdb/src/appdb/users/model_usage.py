"""Model usage: calls to models with their cost, each recorded once, and exact sums of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from appdb._driver import AFTER, RawDocument, Session, decimal_of, stored_decimal
from appdb._queries import tokens as queries
from appdb._queries.paging import NEWEST_FIRST
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, InvalidDataError, NotFoundError
from appdb.models.bounds import Name, accept
from appdb.models.budgets import DECIMAL_PLACES, MAX_MONEY
from appdb.models.tokens import (
    CallUsage,
    ModelTotal,
    NewUsage,
    ProviderTotal,
    StepTotal,
    Usage,
    UsageFilter,
    UsageTotal,
    UsageTotals,
)
from appdb.reading import page_of, readable
from appdb.run_lock import RunLock
from appdb.size_limits import KIB, check_size

MAX_NAMES_BYTES = 8 * KIB
"""Limit of all names together."""
MONEY = ("units", "cost")


class ModelUsage:
    """Records, lists and sums up users' calls to models.

    Amounts are stored as 128-bit decimals (decision 0010): one token may cost less than a millionth of a dollar, so an
    integer of micro-dollars would round each call, and binary fractions would round each sum. Of 34 digits an amount
    takes at most 22, so the sum of 10^12 calls is still exact.
    """

    def __init__(self, connection: Connection) -> None:
        self._usage = connection.collection(collections.USAGE)
        self._run_lock = RunLock(connection)

    async def record_call(self, usage: NewUsage, owner_id: str, session: Session | None) -> Usage:
        """Record a call, or return what was recorded first under its id."""
        accept(NewUsage, usage)
        accept(Name, owner_id, "owner_id")
        fields = checked_usage(usage) | {"_id": usage.id, "owner_id": owner_id}
        await self._admit(usage, owner_id, session)
        recorded: RawDocument = await self._usage.find_one_and_update(
            {"_id": usage.id}, queries.record(fields), upsert=True, return_document=AFTER, session=session
        )
        # The upsert returns what was recorded first, so a repeated call is told from another call with the same id.
        if recorded["owner_id"] != owner_id:
            raise ConflictError("usage", usage.id, "the id is taken; make another with uuid7_str('tok_')")
        if any(recorded.get(name) != value for name, value in fields.items()):
            raise ConflictError("usage", usage.id, "it was recorded with other data; make another id for another call")
        return usage_of(recorded)

    async def _admit(self, usage: NewUsage, owner_id: str, session: Session | None) -> None:
        # One look is enough: usage outlives its run, so it may as well have been recorded just before the deletion
        # (decision 0016).
        if usage.run_id is None:
            return
        try:
            await self._run_lock.check_run(usage.run_id, owner_id, session)
        except NotFoundError:
            # A repeated call of one that was recorded before the run was deleted.
            known = {"_id": usage.id, "owner_id": owner_id}
            if await self._usage.find_one(known, {"_id": 1}, session=session) is None:
                raise

    async def page_of_calls(self, owner_id: str, wanted: UsageFilter, before: str | None, limit: int) -> list[Usage]:
        """Return an owner's calls, newest first."""
        last = None if before is None else await self._find(before, owner_id)
        found = self._usage.find(queries.page(owner_id, wanted, last)).sort(NEWEST_FIRST)
        return await page_of(usage_of, found, limit)

    async def _find(self, usage_id: str, owner_id: str) -> RawDocument:
        found = await self._usage.find_one({"_id": usage_id, "owner_id": owner_id}, {"created_at": 1})
        if found is None:
            raise NotFoundError("usage", usage_id)
        return found

    async def sum_up(self, owner_id: str, wanted: UsageFilter) -> UsageTotals:
        """Return the sums of an owner's calls: all together, by provider, by model and by step."""
        (row,) = [row async for row in self._usage.aggregate(queries.totals(queries.calls(owner_id, wanted)))]
        user = [UsageTotal.from_document(_total(found)) for found in row["user"]]
        return UsageTotals(
            user=user[0] if user else UsageTotal(),
            by_provider=readable(ProviderTotal.from_document, map(_total, row["by_provider"])),
            by_model=readable(ModelTotal.from_document, map(_total, row["by_model"])),
            by_step=readable(StepTotal.from_document, map(_total, row["by_step"])),
        )


def checked_usage(usage: CallUsage) -> dict[str, Any]:
    """Return the stored fields of *usage*, all but its id.

    Raises:
        InvalidDataError: A number is negative, too large, too fine or none.
        TooLargeError: The names are over 8 KiB.
    """
    fields = asdict(usage)
    check_size(
        "names of a usage", {name: fields[name] for name in fields if name not in queries.SUMMED}, MAX_NAMES_BYTES
    )
    fields.pop("id", None)
    return fields | {name: stored_decimal(_amount(name, fields[name])) for name in MONEY}


def _amount(name: str, value: Decimal) -> Decimal:
    if not 0 <= value <= MAX_MONEY:
        raise InvalidDataError(name, f"give a Decimal from 0 to {MAX_MONEY:,}")
    # Never rounded silently: people compare these sums with bills (decision 0010).
    rounded = round(value, DECIMAL_PLACES)
    if rounded != value:
        raise InvalidDataError(name, f"it has more than {DECIMAL_PLACES} decimal places; round it before")
    return rounded.normalize()


def usage_of(row: Mapping[str, Any]) -> Usage:
    """Return the typed form of a stored call.

    Raises:
        UnreadableError: It is not what the model says.
    """
    return Usage.from_document({**row, **{name: decimal_of(row.get(name)) for name in MONEY}})


def _total(row: RawDocument) -> RawDocument:
    sums = {name: decimal_of(row[name]) for name in MONEY}
    return {**row, **sums, **(row["_id"] or {})}
