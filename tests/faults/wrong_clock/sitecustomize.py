"""Loaded by processes under libfaketime, whose 0.9.10 breaks the absolute sleep that ``time.sleep`` asks for."""

from __future__ import annotations

import select
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex, /) -> None:
    select.select([], [], [], float(seconds))


time.sleep = _sleep
