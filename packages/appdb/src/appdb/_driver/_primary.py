"""Making a mongod that was just started the primary of a replica set of one."""

from __future__ import annotations

from pymongo.errors import ConnectionFailure, OperationFailure

from appdb._driver._chosen import Client, close_client, new_client


class ServerNotReadyError(Exception):
    """A server that was just started does not take writes yet."""


async def make_primary(host: str, port: int, replica_set: str | None) -> None:
    """Make the mongod at *host* and *port* the primary of a replica set of one, if it is not yet.

    A data folder remembers the port that it was first served on, so the set's only member is renamed when it moved.

    Raises:
        ServerNotReadyError: It is not writable yet; ask again.
    """
    address = f"{host}:{port}"
    client = new_client(f"mongodb://{address}", {"directConnection": True, "serverSelectionTimeoutMS": 500})
    try:
        hello = await client.admin.command("hello")
        if hello.get("isWritablePrimary"):
            return
        if replica_set is not None:
            await _configure(client, address, replica_set)
    except OperationFailure as exc:
        if exc.code not in _NOT_READY_CODES:
            raise
        raise ServerNotReadyError(str(exc)) from exc
    except ConnectionFailure as exc:
        raise ServerNotReadyError(str(exc)) from exc
    finally:
        await close_client(client)
    raise ServerNotReadyError(f"{address} is not writable yet")


# NotYetInitialized, InvalidReplicaSetConfig, ConfigurationInProgress, NotWritablePrimary, NotPrimaryOrSecondary,
# PrimarySteppedDown, NodeNotFound: a set of one that is still finding itself.
_NOT_READY_CODES = frozenset({94, 93, 109, 10107, 13436, 189, 74})


async def _configure(client: Client, address: str, replica_set: str) -> None:
    stored = await client.local["system.replset"].find_one()
    if stored is None:
        members = [{"_id": 0, "host": address}]
        await client.admin.command("replSetInitiate", {"_id": replica_set, "members": members})
    elif stored["members"][0]["host"] != address:
        stored["members"][0]["host"] = address
        stored["version"] += 1
        await client.admin.command("replSetReconfig", stored, force=True)
