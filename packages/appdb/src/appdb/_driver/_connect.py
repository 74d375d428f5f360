"""Connecting: the client with every setting that our promises rest on, whatever the URI says."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

from pymongo import timeout
from pymongo.errors import ConfigurationError, InvalidURI

from appdb._driver._chosen import Client, new_client
from appdb._driver._values import READING
from appdb.errors import InvalidDataError
from appdb.utils import milliseconds

MAX_NAME_BYTES = 63
FORBIDDEN = re.compile(r'[\s\x00-\x1f\x7f/\\."$*<>:|?\ud800-\udfff]')
SYSTEM_DATABASES = frozenset({"admin", "config", "local"})
LEAST_CONNECTIONS = 3
"""One for the change feed, which holds it nearly all the time, one for renewals, and one for all else."""
SCHEMES = ("mongodb://", "mongodb+srv://")


def connect(uri: str, *, app_name: str, operation_timeout: timedelta | None, selection_timeout: timedelta) -> Client:
    """Return a client with every setting that our promises rest on, whatever the URI says.

    Raises:
        InvalidDataError: The URI cannot be read; the message does not repeat it, since it may hold a password.
    """
    options: dict[str, Any] = {
        "appname": app_name,
        "tz_aware": True,
        # Asked for by name: a set with an arbiter may have the default w: 1, which an election can lose.
        "w": "majority",
        # Majority without the journal waits for the periodic flush: measured a hundred times slower.
        "journal": True,
        "retryWrites": True,
        "retryReads": True,
        # A secondary lags, and what it shows as waiting may be held.
        "readPreference": "primary",
        "readConcernLevel": "majority",
        "serverSelectionTimeoutMS": milliseconds(selection_timeout),
        **READING,
    }
    # Without it a primary that stands still (measured by SIGSTOP) hangs every call.
    if operation_timeout is not None:
        options["timeoutMS"] = milliseconds(operation_timeout)
    how = "write mongodb://HOST:PORT/?replicaSet=NAME"
    if not uri.startswith(SCHEMES):
        raise InvalidDataError("MongoDB URI", f"it has no known scheme; {how}")
    try:
        client = new_client(uri, options)
    except (InvalidURI, ConfigurationError, ValueError) as exc:
        raise InvalidDataError("MongoDB URI", f"it cannot be read ({type(exc).__name__}); {how}") from exc
    # Motor's stub takes a property for a method.
    check_pool(client.options.pool_options.max_pool_size)  # type: ignore[attr-defined]
    return client


def check_pool(most: int | None) -> None:
    """Check that a pool of *most* connections, ``None`` or 0 for any number, is enough for a host.

    Raises:
        InvalidDataError: It is not.
    """
    if most and most < LEAST_CONNECTIONS:
        raise InvalidDataError(
            "MongoDB URI",
            f"maxPoolSize={most} is too few: a change feed holds one connection for seconds at a time, and renewals "
            f"must not wait for what claims and writes; write maxPoolSize={LEAST_CONNECTIONS} or more, or leave it out "
            "(100 at most, opened as they are needed)",
        )


def check_name(name: str) -> None:
    """Check that *name* can be the name of an application's database, on every platform that MongoDB runs on.

    Raises:
        InvalidDataError: It cannot.
    """
    if name in SYSTEM_DATABASES:
        raise InvalidDataError("database name", f"{name!r} belongs to MongoDB itself; choose another")
    if not name or FORBIDDEN.search(name) or len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        raise InvalidDataError(
            "database name",
            f"{name[:MAX_NAME_BYTES]!r} is none that MongoDB takes; write 1 to {MAX_NAME_BYTES} bytes without spaces, "
            'control characters and any of / \\ . " $ * < > : | ?, such as app',
        )


def hosts_of(uri: str) -> str:
    """Return the hosts that *uri* names, without its user and password, for messages."""
    return uri.partition("://")[2].partition("/")[0].rpartition("@")[2]


def within(limit: timedelta | None) -> AbstractContextManager[None]:
    """Give everything in the block *limit* together, since the client's own timeout is for each operation alone."""
    return nullcontext() if limit is None else timeout(limit.total_seconds())
