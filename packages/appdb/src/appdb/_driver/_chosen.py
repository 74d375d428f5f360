"""The driver of this process: Motor, or PyMongo's own async client where APPDB_DRIVER=pymongo asks for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from appdb.errors import InvalidDataError

VARIABLE = "APPDB_DRIVER"
MOTOR, PYMONGO = "motor", "pymongo"
# Decision 0001: Motor's final support ends in May 2027; PyMongo's own client is its successor.
DRIVER = os.environ.get(VARIABLE) or MOTOR

if DRIVER not in {MOTOR, PYMONGO}:
    raise InvalidDataError(VARIABLE, f"there is no driver {DRIVER!r}; write {MOTOR} or {PYMONGO}, or leave it out")

# PyMongo's client is given the shapes that Motor's has, so the types of the one describe both.
if TYPE_CHECKING or DRIVER == MOTOR:
    from appdb._driver import _motor as chosen
    from appdb._driver._motor import ChangeStream, Client, Collection, RawDatabase, Session
else:
    from appdb._driver import _pymongo as chosen
    from appdb._driver._pymongo import ChangeStream, Client, Collection, RawDatabase, Session

new_client, close_client = chosen.new_client, chosen.close_client
start_session, start_transaction = chosen.start_session, chosen.start_transaction

__all__ = [
    "DRIVER",
    "ChangeStream",
    "Client",
    "Collection",
    "RawDatabase",
    "Session",
    "close_client",
    "new_client",
    "start_session",
    "start_transaction",
]
