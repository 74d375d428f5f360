"""Bounds of the fault tests: their rounds, and the times that they allow."""

from __future__ import annotations

import inspect
import os
from datetime import timedelta

from appdb import Database

ROUNDS = int(os.environ.get("APP_TEST_FAULT_ROUNDS", "1"))
"""How often a fault is repeated: one is the short form."""
NOISE_SECONDS = 5.0
"""What a busy machine may add to any time."""
QUICK_ELECTION = timedelta(seconds=2)
OPERATION_TIMEOUT: timedelta = inspect.signature(Database).parameters["operation_timeout"].default
LONGEST_CALL_SECONDS = OPERATION_TIMEOUT.total_seconds() + 1
