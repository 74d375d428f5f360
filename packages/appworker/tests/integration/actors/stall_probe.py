"""Makes a worker's control loop stall: on SIGUSR1 the handler sleeps in the main thread, where the loop runs."""

from __future__ import annotations

import signal
import time

from pydantic import BaseModel

from appworker import ActorContext, actor

STALL_SECONDS = 9


class Nothing(BaseModel):
    """It takes nothing."""


@actor("probe.stall")
async def stall(_context: ActorContext, _payload: Nothing) -> None:
    """Return; the module is what matters."""


signal.signal(signal.SIGUSR1, lambda *_: time.sleep(STALL_SECONDS))
