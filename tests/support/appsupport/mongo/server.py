"""The real MongoDB that tests run against: given, else in a container, else embedded; and which one it is."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appdb.embedded import EmbeddedServer

OFFICIAL_IMAGE = "mongo:7.0"
REPLICA_SET = "rs0"
PORT = 27017
DATA_FOLDER = "/data/db"
# Fail points, for the tests that need the server itself to misbehave.
PARAMETERS = {"enableTestCommands": "1"}
READY_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoServer:
    """A replica set of one, and how we came by it."""

    uri: str
    description: str


@contextmanager
def mongo_server(*, on_disk: bool = True) -> Iterator[MongoServer]:
    """Yield a server for the length of the block: APP_MONGO_URI, else a container, else the embedded mongod.

    Not *on_disk*, a container keeps its data in memory: what a test writes need not outlive the server, and a write
    takes two thirds of the time.
    """
    if given := os.environ.get("APP_MONGO_URI"):
        yield MongoServer(uri=given, description="given by APP_MONGO_URI")
        return
    reason = engine_problem()
    if reason is None:
        with _container(on_disk=on_disk) as server:
            yield server
        return
    with tempfile.TemporaryDirectory(prefix="appdb-test-") as folder:
        embedded = EmbeddedServer(Path(folder), port=0, parameters=PARAMETERS)
        asyncio.run(embedded.start())
        try:
            yield MongoServer(uri=embedded.uri, description=f"EMBEDDED mongod, NO CONTAINER: {reason}")
        finally:
            asyncio.run(embedded.stop())


@contextmanager
def standalone_server() -> Iterator[str]:
    """Yield the URI of a server that is no replica set, which must be refused."""
    with tempfile.TemporaryDirectory(prefix="appdb-test-") as folder:
        server = EmbeddedServer(Path(folder), port=0, replica_set=False)
        asyncio.run(server.start())
        try:
            yield server.uri
        finally:
            asyncio.run(server.stop())


def engine_problem() -> str | None:
    """Return why no container engine can be used, or ``None`` when one answers."""
    with warnings.catch_warnings():
        # Its client leaves a socket open when nobody answers, which is no fault of the test that runs next.
        warnings.simplefilter("ignore", ResourceWarning)
        problem = _ping_engine()
        gc.collect()
    return problem


def _ping_engine() -> str | None:
    import docker
    from docker.errors import DockerException

    try:
        docker.from_env(timeout=10).close()
    except DockerException as exc:
        return f"no container engine answers ({exc})"
    return None


@contextmanager
def _container(*, on_disk: bool) -> Iterator[MongoServer]:
    # Its reaper is an image of its own, which cannot be had everywhere; the block below removes the container.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer

    from appsupport.mongo.local_image import available_image

    image, remark = available_image(os.environ.get("APP_TEST_MONGO_IMAGE", OFFICIAL_IMAGE))
    parameters = " ".join(f"--setParameter {name}={value}" for name, value in PARAMETERS.items())
    container = DockerContainer(image).with_exposed_ports(PORT)
    if not on_disk:
        container = container.with_tmpfs_mount(DATA_FOLDER)
    with container.with_command(f"--bind_ip_all --replSet {REPLICA_SET} {parameters}") as running:
        host = running.get_container_host_ip().replace("localhost", "127.0.0.1")
        uri = f"mongodb://{host}:{running.get_exposed_port(PORT)}/?directConnection=true"
        _initiate(uri)
        yield MongoServer(uri=uri, description=f"container of image {image}{remark}")


def _initiate(uri: str) -> None:
    from pymongo import MongoClient
    from pymongo.errors import ConnectionFailure, OperationFailure

    deadline = time.monotonic() + READY_SECONDS
    with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=1000) as client:
        while time.monotonic() < deadline:
            try:
                if client.admin.command("hello").get("isWritablePrimary"):
                    return
                members = [{"_id": 0, "host": f"127.0.0.1:{PORT}"}]
                client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
            except (ConnectionFailure, OperationFailure):
                time.sleep(0.1)  # it starts, or has just been initiated: ask again
    raise TimeoutError(f"MongoDB in the container was not writable within {READY_SECONDS} s")
