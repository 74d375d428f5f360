"""A real replica set of three that tests kill, freeze and cut: containers where an engine answers, else processes."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from appdb import Database
from appsupport.mongo.network_namespaces import Place, Way
from appsupport.mongo.replica_set_processes import process_ground

NAME = "rs0"
READY_SECONDS = 120
POLL_SECONDS = 0.1
CACHE_GIGABYTES = 0.25
SERVER_ELECTION = timedelta(seconds=10)
"""The server's own default: how long without a sign of the primary until another is elected."""
# NotYetInitialized, NodeNotFound, InvalidReplicaSetConfig, NewReplicaSetConfigurationIncompatible,
# ConfigurationInProgress, CurrentConfigNotCommittedYet, NotWritablePrimary, ExceededTimeLimit (nobody has caught up):
# a set that is still finding itself.
_NOT_READY_CODES = frozenset({94, 74, 93, 103, 109, 308, 10107, 262})


class Node(Protocol):
    """One member, whatever it is made of."""

    host: str
    port: int

    @property
    def running(self) -> bool:
        """True while its process exists, frozen or not."""

    def start(self) -> None:
        """Start it, if it does not run."""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""

    def wait(self) -> None:
        """Return when it has ended."""

    def log_tail(self) -> str:
        """Return the end of its log."""

    def unplug(self) -> None:
        """Cut it off from everybody."""

    def drop(self, peers: Sequence[str], way: Way) -> None:
        """Drop its packets from or to *peers*."""

    def heal(self) -> None:
        """Undo ``unplug`` and ``drop``."""


class Ground(Protocol):
    """The ground of a replica set: its nodes, and the network between them."""

    cut_problem: str | None
    description: str
    client: str
    host_outlives_node: bool

    def add(self, arguments: Sequence[str], *, disk_megabytes: int | None) -> Node:
        """Make a node."""

    def client_place(self) -> Place:
        """Return a place for a client process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSetOptions:
    """Options of a replica set.

    Args:
        election: How long without a sign of the primary until another is elected.
        oplog_megabytes: The size of the oplog, or ``None`` for the server's choice.
        disk_megabytes: The size of each node's disk, or ``None`` for this machine's; needs ``processes``.
        ways: What the nodes may be made of; the first that works is taken. APP_TEST_SET outranks it.
    """

    election: timedelta = SERVER_ELECTION
    oplog_megabytes: int | None = None
    disk_megabytes: int | None = None
    ways: tuple[str, ...] = ("containers", "processes")


class ReplicaSet:
    """Three nodes, and what tests do to them. Its methods block; a test with an event loop calls them in a thread."""

    def __init__(self, ground: Ground, options: ReplicaSetOptions) -> None:
        self.description = ground.description
        self.cut_problem = ground.cut_problem
        """Why the network cannot be cut, or ``None``."""
        self.client = ground.client
        """The address by which the nodes see the test's own process."""
        self.host_outlives_node = ground.host_outlives_node
        """Whether a dead node's host still refuses connections; else a new primary waits for its word once more."""
        self._ground = ground
        arguments = _arguments(options)
        self.nodes = [ground.add(arguments, disk_megabytes=options.disk_megabytes) for _ in range(3)]
        self._election = options.election

    @property
    def uri(self) -> str:
        """The connection string for clients."""
        return f"mongodb://{','.join(map(_address, self.nodes))}/?replicaSet={NAME}"

    def start(self) -> None:
        """Start all nodes, and return when one is primary and two follow."""
        for node in self.nodes:
            node.start()
        config = {
            "_id": NAME,
            "members": [{"_id": number, "host": _address(node)} for number, node in enumerate(self.nodes)],
            # The second as docs/guarantees.md advises: a new primary may wait that long again for a host that is gone.
            "settings": {"electionTimeoutMillis": _milliseconds(self._election), "catchUpTimeoutMillis": 500},
        }
        self._until("be initiated", lambda: _initiate(self.nodes[0], config))
        self.wait_until_whole()

    def primary(self) -> Node:
        """Return the node that can take writes; the newest, when an old one has not heard of it yet."""
        found: list[Node] = []

        def search() -> bool:
            hellos = [(hello["electionId"], node) for node in self.nodes if (hello := _primary_hello(node))]
            found[:] = [node for _, node in sorted(hellos, key=lambda pair: pair[0])[-1:]]
            return bool(found)

        self._until("have a primary", search)
        return found[0]

    def others(self, node: Node) -> list[Node]:
        """Return the two nodes beside *node*."""
        return [other for other in self.nodes if other is not node]

    def kill(self, node: Node) -> None:
        """End *node* as a power cut does."""
        node.signal(signal.SIGKILL)
        node.wait()

    def stop(self, node: Node) -> None:
        """Stop *node* politely."""
        node.signal(signal.SIGTERM)
        node.wait()

    def freeze(self, node: Node) -> None:
        """Stop *node* in the middle of what it does; its connections stay open."""
        node.signal(signal.SIGSTOP)

    def thaw(self, node: Node) -> None:
        """Let *node* go on."""
        node.signal(signal.SIGCONT)

    def restart(self, node: Node) -> None:
        """Start *node* again."""
        node.start()

    def step_down(self, seconds: int = 10) -> None:
        """Make the primary hand over to another node, and not come back for *seconds*."""
        self._until("hand over", lambda: self._step_down(seconds))

    def _step_down(self, seconds: int) -> bool:
        with _direct(self.primary()) as client:
            client.admin.command({"replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": max(seconds // 2, 1)})
        return True

    def set_election(self, election: timedelta) -> None:
        """Change how long without a sign of the primary it takes until another is elected."""
        if election == self._election:
            return
        self._until("be reconfigured", lambda: self._reconfigure(election))
        self._election = election

    def _reconfigure(self, election: timedelta) -> bool:
        with _direct(self.primary()) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            config["settings"]["electionTimeoutMillis"] = _milliseconds(election)
            config["version"] += 1
            client.admin.command("replSetReconfig", config)
        wanted = config["version"]
        self._until("agree on its configuration", lambda: all(_version(node) == wanted for node in self.nodes))
        if election < self._election:
            # A running timer is never made shorter.
            time.sleep(self._election.total_seconds())
        return True

    def unplug(self, node: Node) -> None:
        """Cut *node* off from everybody, clients too."""
        node.unplug()

    def part(self, node: Node, way: Way = Way.BOTH) -> None:
        """Cut *node* off from the other nodes; clients still reach it."""
        node.drop([other.host for other in self.others(node)], way)

    def part_with_client(self, node: Node, client: str | None = None) -> None:
        """Leave *node* and the client (this process, if none is named) alone with each other."""
        self.part(node)
        for other in self.others(node):
            other.drop([client or self.client], Way.BOTH)

    def client_place(self) -> Place:
        """Return a place for a client process that can be cut off."""
        return self._ground.client_place()

    def heal(self) -> None:
        """Undo every cut."""
        for node in self.nodes:
            node.heal()

    def mend(self) -> None:
        """Undo everything: cuts, freezes and ends; and return when the set is whole."""
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            node.start()
            node.heal()
        self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Return when one node is primary and the other two follow it closely."""
        self._until("be whole", self._is_whole)

    def _is_whole(self) -> bool:
        with _direct(self.primary()) as client:
            members = client.admin.command("replSetGetStatus")["members"]
        states = sorted(member["stateStr"] for member in members)
        return states == ["PRIMARY", *["SECONDARY"] * (len(self.nodes) - 1)]

    def command(self, name: str, value: Any = 1, **options: Any) -> dict[str, Any]:
        """Run an admin command on the primary."""
        with _direct(self.primary()) as client:
            return dict(client.admin.command(name, value, **options))

    def _until(self, goal: str, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        problem = ""
        while time.monotonic() < deadline:
            try:
                if reached():
                    return
            except ConnectionFailure as exc:
                problem = str(exc)
            except OperationFailure as exc:
                if exc.code not in _NOT_READY_CODES:
                    raise
                problem = str(exc)
            time.sleep(POLL_SECONDS)
        logs = "\n".join(f"--- {_address(node)}\n{node.log_tail()}" for node in self.nodes)
        raise TimeoutError(f"the replica set did not {goal} within {READY_SECONDS} s ({problem})\n{logs}")


@contextmanager
def replica_set(options: ReplicaSetOptions | None = None) -> Iterator[ReplicaSet]:
    """Yield a started set for the length of the block."""
    wanted = options or ReplicaSetOptions()
    with _ground(wanted) as ground:
        made = ReplicaSet(ground, wanted)
        made.start()
        yield made


@asynccontextmanager
async def fresh_database(uri: str, *, retries: bool = False) -> AsyncIterator[Database]:
    """Yield an open, migrated database with a name that nobody else uses; it goes with the set.

    Its calls do not retry without a primary unless *retries*: hosts do not either, and loads see what hosts see.
    """
    options: dict[str, Any] = {} if retries else {"retry_timeout": timedelta(0)}
    name = f"test_{uuid.uuid4().hex[:12]}"
    migrating = Database(uri, name, operation_timeout=None)
    try:
        await migrating.migrate()
    finally:
        await migrating.close()
    async with Database(uri, name, **options) as database:
        yield database


@contextmanager
def _ground(options: ReplicaSetOptions) -> Iterator[Ground]:
    asked = os.environ.get("APP_TEST_SET")
    ways = (asked,) if asked and asked in options.ways else options.ways
    problem = None
    if "containers" in ways:
        from appsupport.mongo.replica_set_containers import container_ground, container_problem

        problem = container_problem()
        if problem is None:
            with container_ground() as ground:
                yield ground
            return
        if "processes" not in ways:
            raise RuntimeError(f"the set was to be made of containers: {problem}")
    with process_ground() as processes:
        if problem is not None:
            processes.description += f", NO CONTAINERS: {problem}"
        yield processes


def _arguments(options: ReplicaSetOptions) -> list[str]:
    arguments = ["--replSet", NAME, "--wiredTigerCacheSizeGB", str(CACHE_GIGABYTES)]
    for parameter in ("enableTestCommands=1", "diagnosticDataCollectionEnabled=false"):
        arguments += ["--setParameter", parameter]
    if options.oplog_megabytes is not None:
        # Nothing is forgotten before the periodic checkpoint after it.
        arguments += ["--oplogSize", str(options.oplog_megabytes), "--syncdelay", "1"]
    return arguments


def _initiate(node: Node, config: dict[str, Any]) -> bool:
    with _direct(node) as client:
        try:
            client.admin.command("replSetInitiate", config)
        except OperationFailure as exc:
            already_initialized = 23
            if exc.code != already_initialized:
                raise
    return True


def _version(node: Node) -> int:
    with _direct(node) as client:
        return int(client.admin.command("replSetGetConfig")["config"]["version"])


def _primary_hello(node: Node) -> dict[str, Any] | None:
    try:
        with _direct(node, seconds=1) as client:
            hello = dict(client.admin.command("hello"))
    except PyMongoError:
        return None  # dead, frozen or cut off: then it is not the primary that clients can use
    return hello if hello.get("isWritablePrimary") and "electionId" in hello else None


def _direct(node: Node, *, seconds: float = 10) -> MongoClient[dict[str, Any]]:
    limit = int(seconds * 1000)
    return MongoClient(
        node.host,
        node.port,
        directConnection=True,
        serverSelectionTimeoutMS=limit,
        connectTimeoutMS=limit,
        timeoutMS=limit,
    )


def _address(node: Node) -> str:
    return f"{node.host}:{node.port}"


def _milliseconds(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
