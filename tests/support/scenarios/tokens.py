"""Scenarios of ``TokenRepository``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from appdb import NewUsage, TokenRepository, UsageFilter
from appdb._driver import RawDocument, stored_decimal
from appdb.utils import uuid7_str
from scenarios.kit import Scenario, Scenes, Stage, Text

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
RUN = "wf_" + "1" * 32
"""A run of every stage's owner: whose calls they are is told by the owner alone."""
OTHERS = 10
CENT, NONE = stored_decimal(Decimal("0.01")), stored_decimal(Decimal(0))
LATELY = UsageFilter(run_id=RUN, since=LONG_AGO, until=datetime(2999, 1, 1, tzinfo=UTC))


def new_usage(**changes: Any) -> NewUsage:
    """Return a call for the run of all stages."""
    fields: dict[str, Any] = {"provider": "local", "model": "small", "operation": "chat", "run_id": RUN}
    fields["cost"] = Decimal("0.01")
    return NewUsage(**(fields | changes))


async def usage_id(stage: Stage) -> str:
    """Record a call for the run and then many for no run, and return the first one's id."""
    tokens = TokenRepository(stage.database)
    first = await tokens.record(new_usage(), owner_id=stage.owner)
    for _ in range(OTHERS):
        await tokens.record(new_usage(run_id=None), owner_id=stage.owner)
    return first.id


async def newest_id(stage: Stage) -> str:
    """Record many calls and return the last one's id."""
    await usage_id(stage)
    return (await TokenRepository(stage.database).record(new_usage(), owner_id=stage.owner)).id


async def run_id(stage: Stage) -> str:
    await usage_id(stage)
    return RUN


async def own_run(stage: Stage) -> str:
    """Record a call for a run that no other stage has, and return the run's id."""
    run_id = uuid7_str("wf_")
    await TokenRepository(stage.database).record(new_usage(run_id=run_id), owner_id=stage.owner)
    return run_id


async def _record(tokens: TokenRepository, run_id: str, owner_id: str) -> int:
    """Record another call for the run, and return how many its owner finds then."""
    await tokens.record(new_usage(run_id=run_id), owner_id=owner_id)
    return len(await tokens.page(owner_id=owner_id, wanted=UsageFilter(run_id=run_id)))


async def _record_text(stage: Stage, text: str) -> Mapping[str, object]:
    tokens = TokenRepository(stage.database)
    names = ("provider", "model", "operation", "display_name", "run_id", "step_id", "module_name", "id")
    await tokens.record(new_usage(**dict.fromkeys(names, text)), owner_id=stage.owner)
    (read,) = await tokens.page(owner_id=stage.owner, wanted=UsageFilter(run_id=text))
    totals = await tokens.totals(owner_id=stage.owner, wanted=UsageFilter(run_id=text))
    assert (totals.by_model[0].provider, totals.by_model[0].model, totals.by_step[0].step_id) == (text,) * 3
    assert await tokens.delete_run(text, owner_id=stage.owner) == 1
    return {f"usage.{name}": getattr(read, name) for name in names}


def _usage(number: int) -> RawDocument:
    names = {"provider": "local", "model": "small", "operation": "chat", "display_name": ""}
    sums = {"input_tokens": 1, "output_tokens": 1, "units": NONE, "cost": CENT}
    base = {"_id": f"tok_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "created_at": LONG_AGO}
    return base | names | sums | {"run_id": RUN if number % 2 else None}


def _page(about: str, prepare: Any, **options: Any) -> Scenario:
    def call(tokens: Any, _: Any, owner_id: str) -> Any:
        return tokens.page(owner_id=owner_id, **options)

    return Scenario(method="TokenRepository.page", about=about, prepare=prepare, call=call)


def _next(about: str, **options: Any) -> Scenario:
    def call(tokens: Any, made: Any, owner_id: str) -> Any:
        return tokens.page(owner_id=owner_id, before=made, **options)

    return Scenario(method="TokenRepository.page", about=about, prepare=newest_id, call=call)


SCENES = Scenes(
    subject=TokenRepository,
    scenarios=(
        Scenario(method="TokenRepository.record", prepare=own_run, call=_record, creates=True),
        _page("", usage_id),
        _page("of a run", usage_id, wanted=UsageFilter(run_id=RUN)),
        _page("of a run and a time", usage_id, wanted=LATELY),
        _next("the next"),
        _next("the next of a run", wanted=UsageFilter(run_id=RUN)),
        Scenario(
            method="TokenRepository.totals",
            prepare=usage_id,
            call=lambda tokens, _, owner_id: tokens.totals(owner_id=owner_id),
            extra_keys=OTHERS,
        ),
        Scenario(
            method="TokenRepository.totals",
            about="of a run",
            prepare=run_id,
            call=lambda tokens, made, owner_id: tokens.totals(owner_id=owner_id, wanted=UsageFilter(run_id=made)),
        ),
        Scenario(
            method="TokenRepository.totals",
            about="of a run and a time",
            prepare=usage_id,
            call=lambda tokens, _, owner_id: tokens.totals(owner_id=owner_id, wanted=LATELY),
        ),
        Scenario(
            method="TokenRepository.delete_run",
            prepare=run_id,
            call=lambda tokens, made, owner_id: tokens.delete_run(made, owner_id=owner_id),
        ),
    ),
    texts=(
        Text(
            method="TokenRepository.record",
            fields=(
                "usage.provider",
                "usage.model",
                "usage.operation",
                "usage.display_name",
                "usage.run_id",
                "usage.step_id",
                "usage.module_name",
                "usage.id",
            ),
            store=_record_text,
        ),
    ),
    plain=frozenset({"owner_id", "before", "wanted.run_id", "delete_run.run_id"}),
    crowds={"tokens": _usage},
)
