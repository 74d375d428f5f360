"""Routes of health: whether the process lives, and whether it can serve."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import Response

from appdb import AppDbError
from appserver.api.schemas.operations import HostHealth
from appserver.http.callers import StateDep
from appserver.http.routing import Router
from appserver.tasks.worker_presence import WorkerPresence, worker_presence

logger = logging.getLogger(__name__)
router = Router(prefix="/healthz", tags=["health"])


@router.get("/live")
async def live() -> dict[str, bool]:
    """Answer while the process can answer."""
    return {"live": True}


@router.get("/ready", responses={503: {"model": HostHealth}})
async def ready(state: StateDep, response: Response) -> HostHealth:
    """Tell whether requests can be served: 503 while not."""
    checks = {"database": False, "contract": False}
    presence = WorkerPresence(workers=[], actors={})
    # In this order, since the contract is read from the database.
    try:
        await state.database.ping()
        checks["database"] = True
        await state.database.check_contract()
        checks["contract"] = True
        presence = await worker_presence(state.registry)
    except AppDbError as exc:
        # Only in the log: the reason may name hosts and addresses, and the route needs no key.
        logger.warning("not ready", extra={"error": str(exc), **checks})
    healthy = all(checks.values())
    response.status_code = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
    return HostHealth(ready=healthy, checks=checks, workers=len(presence.workers), worker_seen_at=presence.seen_at)
