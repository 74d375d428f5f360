"""Motor, the default driver: what it names and does in its own way."""

from __future__ import annotations

from typing import Any, TypeAlias

from motor.motor_asyncio import (
    AsyncIOMotorChangeStream,
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import ReadPreference

from appdb._driver._common import MAJORITY, SNAPSHOT, RawDocument

Client: TypeAlias = AsyncIOMotorClient[RawDocument]
RawDatabase: TypeAlias = AsyncIOMotorDatabase[RawDocument]
Collection: TypeAlias = AsyncIOMotorCollection[RawDocument]
Session: TypeAlias = AsyncIOMotorClientSession
ChangeStream: TypeAlias = AsyncIOMotorChangeStream[RawDocument]


def new_client(uri: str, options: dict[str, Any]) -> Client:
    """Return a client, which connects when it is first used."""
    return AsyncIOMotorClient(uri, **options)


async def close_client(client: Client) -> None:
    """End every connection of *client*; harmless when called twice."""
    client.close()


async def start_session(client: Client) -> Session:
    """Return a session, which ends with the block that it manages."""
    # Motor would take a thread for it; but a session asks no server before its first operation.
    return AsyncIOMotorClientSession(client.delegate.start_session(), client)


async def start_transaction(session: Session) -> None:
    """Begin a transaction; concerns of collections do not count in it, so they are set here."""
    session.start_transaction(SNAPSHOT, MAJORITY, ReadPreference.PRIMARY)
