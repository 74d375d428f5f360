"""The contracts and plans of the first two migrations, which were released without steps and never change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from appdb._queries import task_claims as claims
from appdb._schema import collections
from appdb._schema.indexes import INDEXES
from appdb.connection import Connection
from appdb.migrations._steps import Steps
from appdb.migrations.contract import Contract

# m0003 and m0004 are released, never change, and import `Contract` from here.
__all__ = [
    "RELEASED",
    "Contract",
    "UnsteppedMigration",
]

OUTGROWN = ("tasks_claim", "tasks_leases", "tasks_due")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsteppedMigration:
    """The facts about a migration that was released without steps.

    Args:
        contract: What hosts must know once it has run.
        plan: Says what it would do.
        irreversible: Why it cannot be undone.
    """

    contract: Contract
    plan: Callable[[Connection, Steps], Awaitable[None]]
    irreversible: str


async def _plan_first(_: Connection, steps: Steps) -> None:
    await steps.add_indexes("indexes", INDEXES)


async def _plan_second(_: Connection, steps: Steps) -> None:
    match, change = claims.fill_claim_keys()
    await steps.back_fill("adopt", collections.TASKS, match, change)
    await steps.add_indexes("indexes", INDEXES)
    await steps.drop_indexes("outgrown", [(collections.TASKS, name) for name in OUTGROWN])


# Their checksums are stored in every database, so what they lack stands here instead of in their modules.
RELEASED = {
    "m0001_pre_initial_indexes": UnsteppedMigration(
        contract=Contract(newest=1, oldest=1),
        plan=_plan_first,
        irreversible="it made the database what it is; drop the database instead",
    ),
    "m0002_pre_queue": UnsteppedMigration(
        contract=Contract(newest=2, oldest=2),
        plan=_plan_second,
        irreversible="it filled in what older tasks lack, and dropped indexes that only the first release reads",
    ),
}
