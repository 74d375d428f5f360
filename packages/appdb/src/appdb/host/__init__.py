"""The host's part of appdb: loops and settings that every long-running host needs."""

from __future__ import annotations

from appdb.connection import NO_RETRIES, app_name_of
from appdb.host.duties import every, survive
from appdb.host.environment import ENV_FILE, ENV_FILE_ENCODING, check_names, file_variables
from appdb.host.lease_guard import GuardFacts, LeaseGuard
from appdb.host.lease_renewer import LeaseHolder, LeaseRenewer
from appdb.host.maintenance import HostMaintenance

__all__ = [
    "ENV_FILE",
    "ENV_FILE_ENCODING",
    "NO_RETRIES",
    "GuardFacts",
    "HostMaintenance",
    "LeaseGuard",
    "LeaseHolder",
    "LeaseRenewer",
    "app_name_of",
    "check_names",
    "every",
    "file_variables",
    "survive",
]
