"""The host's part of appdb: loops, settings and checks that every long-running host needs."""

from __future__ import annotations

from appdb._driver import Session
from appdb.connection import NO_RETRIES, app_name_of
from appdb.content.media_type import MediaTypeProbe
from appdb.host.duties import every, survive
from appdb.host.environment import ENV_FILE, ENV_FILE_ENCODING, check_variables
from appdb.host.lease_guard import GuardFacts, LeaseGuard
from appdb.host.lease_renewer import LeaseHolder, LeaseRenewer
from appdb.host.maintenance import HostMaintenance
from appdb.migrations.options import BackFillPace, RunOptions, Waiting
from appdb.payload_schema import judged, pattern_validator
from appdb.queue.batching import GroupCommit
from appdb.queue.lease import handler
from appdb.queue.steps import check_key
from appdb.size_limits import (
    MAX_CHUNK_BYTES,
    MAX_EVENT_BYTES,
    MAX_STEP_BYTES,
    MAX_WRITE_BYTES,
    check_size,
    storable_text,
)

__all__ = [
    "ENV_FILE",
    "ENV_FILE_ENCODING",
    "MAX_CHUNK_BYTES",
    "MAX_EVENT_BYTES",
    "MAX_STEP_BYTES",
    "MAX_WRITE_BYTES",
    "NO_RETRIES",
    "BackFillPace",
    "GroupCommit",
    "GuardFacts",
    "HostMaintenance",
    "LeaseGuard",
    "LeaseHolder",
    "LeaseRenewer",
    "MediaTypeProbe",
    "RunOptions",
    "Session",
    "Waiting",
    "app_name_of",
    "check_key",
    "check_size",
    "check_variables",
    "every",
    "handler",
    "judged",
    "pattern_validator",
    "storable_text",
    "survive",
]
