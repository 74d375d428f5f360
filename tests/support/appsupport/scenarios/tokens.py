"""Scenarios of ``TokenRepository``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from appdb import TokenRepository
from appdb._driver import RawDocument, stored_decimal
from appdb.models import CallUsage, NewUsage, UsageFilter
from appsupport.scenarios.held_tasks import hold
from appsupport.scenarios.scenario import Scenario, Scenes, Stage, Text
from appsupport.scenarios.staged_runs import opened, run_of

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
OTHERS = 10
CENT, NONE = stored_decimal(Decimal("0.01")), stored_decimal(Decimal(0))
ALWAYS: Mapping[str, Any] = {"since": LONG_AGO, "until": datetime(2999, 1, 1, tzinfo=UTC)}


def new_usage(**changes: Any) -> NewUsage:
    """Return a call to a model."""
    fields: dict[str, Any] = {"provider": "local", "model": "small", "operation": "chat"}
    fields["cost"] = Decimal("0.01")
    return NewUsage(**(fields | changes))


def new_call(**changes: Any) -> CallUsage:
    """Return a call that a task makes."""
    fields: dict[str, Any] = {"provider": "local", "model": "small", "operation": "chat", "cost": Decimal("0.01")}
    return CallUsage(**(fields | changes))


async def usage_id(stage: Stage) -> str:
    """Record a call for the run and then many for no run, and return the first one's id."""
    tokens = TokenRepository(stage.database)
    first = await tokens.record(new_usage(run_id=await opened(stage)), owner_id=stage.owner)
    for _ in range(OTHERS):
        await tokens.record(new_usage(), owner_id=stage.owner)
    return first.id


async def newest_id(stage: Stage) -> str:
    """Record many calls and return the last one's id."""
    await usage_id(stage)
    last = new_usage(run_id=run_of(stage.owner))
    return (await TokenRepository(stage.database).record(last, owner_id=stage.owner)).id


async def run_id(stage: Stage) -> str:
    await usage_id(stage)
    return run_of(stage.owner)


async def _record(tokens: TokenRepository, run_id: str, owner_id: str) -> int:
    """Record another call for the run, and return how many its owner finds then."""
    await tokens.record(new_usage(run_id=run_id), owner_id=owner_id)
    return len(await tokens.page(owner_id=owner_id, wanted=UsageFilter(run_id=run_id)))


async def _record_text(stage: Stage, text: str) -> Mapping[str, object]:
    tokens = TokenRepository(stage.database)
    names = ("provider", "model", "operation", "display_name", "step_id", "module_name", "id")
    await tokens.record(new_usage(**dict.fromkeys(names, text)), owner_id=stage.owner)
    (read,) = await tokens.page(owner_id=stage.owner)
    totals = await tokens.totals(owner_id=stage.owner)
    assert (totals.by_model[0].provider, totals.by_model[0].model, totals.by_step[0].step_id) == (text,) * 3
    return {f"usage.{name}": getattr(read, name) for name in names}


async def _record_task_text(stage: Stage, text: str) -> Mapping[str, object]:
    held, tokens = await hold(stage), TokenRepository(stage.database)
    names = ("provider", "model", "operation", "display_name")
    recorded = await tokens.record_for_task(held.lease, held.task, "call", new_call(**dict.fromkeys(names, text)))
    (read,) = await tokens.page(owner_id=stage.owner)
    assert recorded == read.id
    return {f"usage.{name}": getattr(read, name) for name in names}


def _usage(number: int) -> RawDocument:
    names = {"provider": "local", "model": "small", "operation": "chat", "display_name": ""}
    sums = {"input_tokens": 1, "output_tokens": 1, "units": NONE, "cost": CENT}
    base = {"_id": f"tok_{number:032x}", "owner_id": f"usr_{number % 2_000:032x}", "created_at": LONG_AGO}
    return base | names | sums | {"run_id": f"wf_{number:032x}" if number % 2 else None}


def _of_run(name: str, about: str, **bounds: Any) -> Scenario:
    """Return the scenario of a method that looks at what one run has cost."""

    def call(tokens: Any, made: Any, owner_id: str) -> Any:
        return getattr(tokens, name)(owner_id=owner_id, wanted=UsageFilter(run_id=made, **bounds))

    return Scenario(method=f"TokenRepository.{name}", about=about, prepare=run_id, call=call)


SCENES = Scenes(
    subject=TokenRepository,
    scenarios=(
        Scenario(method="TokenRepository.record", prepare=opened, call=_record),
        Scenario(
            method="TokenRepository.record_for_task",
            prepare=hold,
            call=lambda tokens, made, _: tokens.record_for_task(made.lease, made.task, "call", new_call()),
        ),
        Scenario(
            method="TokenRepository.page",
            prepare=usage_id,
            call=lambda tokens, _, owner_id: tokens.page(owner_id=owner_id),
        ),
        Scenario(
            method="TokenRepository.page",
            about="the next",
            prepare=newest_id,
            call=lambda tokens, made, owner_id: tokens.page(owner_id=owner_id, before=made),
        ),
        Scenario(
            method="TokenRepository.page",
            about="the next of a run",
            prepare=newest_id,
            call=lambda tokens, made, owner_id: tokens.page(
                owner_id=owner_id, wanted=UsageFilter(run_id=run_of(owner_id)), before=made
            ),
        ),
        _of_run("page", "of a run"),
        _of_run("page", "of a run and a time", **ALWAYS),
        Scenario(
            method="TokenRepository.totals",
            prepare=usage_id,
            call=lambda tokens, _, owner_id: tokens.totals(owner_id=owner_id),
            extra_keys=OTHERS,
        ),
        _of_run("totals", "of a run"),
        _of_run("totals", "of a run and a time", **ALWAYS),
    ),
    texts=(
        Text(
            method="TokenRepository.record",
            fields=(
                "usage.provider",
                "usage.model",
                "usage.operation",
                "usage.display_name",
                "usage.step_id",
                "usage.module_name",
                "usage.id",
            ),
            store=_record_text,
        ),
        Text(
            method="TokenRepository.record_for_task",
            fields=("usage.provider", "usage.model", "usage.operation", "usage.display_name"),
            store=_record_task_text,
        ),
    ),
    plain=frozenset(
        {"owner_id", "before", "key", "task_id", "token", "worker_id", "limit_keys", "wanted.run_id", "usage.run_id"}
    ),
    crowds={"tokens": _usage},
)
