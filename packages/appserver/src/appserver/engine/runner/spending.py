"""Spending: what the modules of a run cost when they ran last, so that a plan can say what they will cost again."""

from __future__ import annotations

from decimal import Decimal

from appdb.models import Usage, UsageFilter
from appserver.engine.core.picture import Picture
from appserver.engine.runner.stores import EngineStores

PAGE = 500
MOST_PAGES = 4
"""Of the newest calls; what older ones cost is left out, and the estimates of their tasks stand in."""


async def spent_by_module(stores: EngineStores, picture: Picture) -> dict[str, Decimal]:
    """Return, by module, what was spent since its last start; of modules whose tasks recorded nothing, nothing.

    One round trip for each 500 calls, and none for a run that has started no task.
    """
    starts = {module: start.created_at for (_, module), start in picture.state.started.items()}
    if not any(sub.started.data.get("kind") == "task" for sub in picture.state.sub_actions.values()):
        return {}
    spent: dict[str, Decimal] = {}
    before: str | None = None
    for _ in range(MOST_PAGES):
        page = await _page(stores, picture, before)
        for usage in page:
            began = starts.get(usage.module_name or "")
            if usage.module_name is not None and began is not None and usage.created_at >= began:
                spent[usage.module_name] = spent.get(usage.module_name, Decimal(0)) + usage.cost
        if len(page) < PAGE:
            break
        before = page[-1].id
    return spent


async def _page(stores: EngineStores, picture: Picture, before: str | None) -> list[Usage]:
    run = picture.run
    wanted = UsageFilter(run_id=run.id)
    return await stores.usage.page(owner_id=run.owner_id, wanted=wanted, before=before, limit=PAGE)
