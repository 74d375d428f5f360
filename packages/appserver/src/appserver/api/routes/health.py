"""Whether the process lives, and whether it can serve."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import APIRouter, Response
from pydantic import BaseModel

from appdb import AppDbError
from appserver.api.dependencies import StateDep

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/healthz", tags=["health"])


class Health(BaseModel):
    """Named checks; what is wrong inside is in the logs only."""

    ready: bool
    checks: dict[str, bool]


@router.get("/live")
async def live() -> dict[str, bool]:
    """Answer while the process can answer."""
    return {"live": True}


@router.get("/ready", responses={503: {"model": Health}})
async def ready(state: StateDep, response: Response) -> Health:
    """Say whether requests can be served: 503 while not."""
    checks = {"database": False, "contract": False}
    try:
        await state.database.ping()
        checks["database"] = True
        await state.database.check_contract()
        checks["contract"] = True
    except AppDbError as exc:
        logger.warning("not ready", extra={"error": str(exc), **checks})
    healthy = all(checks.values())
    response.status_code = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
    return Health(ready=healthy, checks=checks)
