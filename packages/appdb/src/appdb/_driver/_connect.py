"""Connecting: every setting that our promises rest on, whatever the URI says."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

from pymongo import timeout
from pymongo.errors import ConfigurationError, InvalidURI

from appdb._driver._chosen import Client, new_client
from appdb._driver._values import READING
from appdb.errors import InvalidDataError
from appdb.utils import milliseconds

SCHEMES = ("mongodb://", "mongodb+srv://")


def connect(uri: str, *, app_name: str, operation_timeout: timedelta | None, selection_timeout: timedelta) -> Client:
    """Return a client with every setting that our promises rest on, whatever the URI says.

    Raises:
        InvalidDataError: The URI cannot be read; the message does not repeat it, since it may hold a password.
    """
    options: dict[str, Any] = {
        "appname": app_name,
        "tz_aware": True,
        "w": "majority",
        "journal": True,
        "retryWrites": True,
        "retryReads": True,
        "readPreference": "primary",
        "readConcernLevel": "majority",
        "serverSelectionTimeoutMS": milliseconds(selection_timeout),
        **READING,
    }
    if operation_timeout is not None:
        options["timeoutMS"] = milliseconds(operation_timeout)
    how = "write mongodb://HOST:PORT/?replicaSet=NAME"
    if not uri.startswith(SCHEMES):
        raise InvalidDataError("MongoDB URI", f"it has no known scheme; {how}")
    try:
        return new_client(uri, options)
    except (InvalidURI, ConfigurationError, ValueError) as exc:
        raise InvalidDataError("MongoDB URI", f"it cannot be read ({type(exc).__name__}); {how}") from exc


def hosts_of(uri: str) -> str:
    """Return the hosts that *uri* names, without its user and password, for messages."""
    return uri.partition("://")[2].partition("/")[0].rpartition("@")[2]


def within(limit: timedelta | None) -> AbstractContextManager[None]:
    """Give everything in the block *limit* together, since the client's own timeout is for each operation alone."""
    return nullcontext() if limit is None else timeout(limit.total_seconds())
