"""Loaded by processes under libfaketime, whose 0.9.10 breaks the absolute sleep that ``time.sleep`` asks for."""

from __future__ import annotations

import select
import time


def _sleep(seconds: float, /) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep
