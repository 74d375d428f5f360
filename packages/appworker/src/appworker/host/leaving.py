"""The end of a process that threads and exit handlers of actors may hold up."""

from __future__ import annotations

import logging
import os
import threading
import time

logger = logging.getLogger(__name__)

LEAVING_SECONDS = 5.0
"""How long threads and exit handlers that actors left behind may hold up the end of a process."""


def leave_for_sure(code: int) -> None:
    """End the process with *code* in a moment, unless it has ended by itself: a thread may never end."""
    threading.Thread(target=_leave, args=(code,), name="leaving", daemon=True).start()


def _leave(code: int) -> None:
    time.sleep(LEAVING_SECONDS)
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    logger.warning("threads or exit handlers of actors do not end; the process ends without", extra={"threads": left})
    # No exit handlers: one of them may be what does not end.
    os._exit(code)
