"""Nodes of a replica set as containers on a network of their own, from which they can be taken."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import docker
from docker.errors import APIError
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from appsupport.mongo.local_image import available_image
from appsupport.mongo.network_namespaces import (
    FIRST_CLIENT,
    FIRST_NODE,
    Place,
    Way,
    Wires,
    filter_packets,
    namespace_problem,
    pass_packets,
)
from appsupport.mongo.server import OFFICIAL_IMAGE, engine_problem

PORT = 27017
STOP_SECONDS = 30
LABEL = "appdb-test-set"
_SETS = itertools.count(1)


def container_problem() -> str | None:
    """Return why the set cannot be made of containers, or ``None``."""
    if not sys.platform.startswith("linux"):
        return "the addresses of containers are reached from Linux alone"
    return engine_problem()


class ContainerNode:
    """A mongod that is a container."""

    def __init__(self, container: Container, network: Network, host: str) -> None:
        self.host, self.port = host, PORT
        self._container, self._network = container, network
        self._plugged = False

    def start(self) -> None:
        """Start it, if it does not run."""
        self._plug_in()
        self._container.start()

    @property
    def running(self) -> bool:
        self._container.reload()
        return bool(self._container.status == "running")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.running:
            self._container.kill(signal=number.name)

    def wait(self) -> None:
        """Return when it has ended."""
        self._container.wait(timeout=STOP_SECONDS)

    def log_tail(self) -> str:
        return self._container.logs(tail=20).decode(errors="replace")

    def unplug(self) -> None:
        """Take it from the network."""
        self._network.disconnect(self._container)
        self._plugged = False

    def drop(self, peers: Sequence[str], way: Way) -> None:
        """Drop its packets from or to *peers*."""
        filter_packets(self._inside(), peers, way)

    def heal(self) -> None:
        """Undo ``unplug`` and ``drop``."""
        self._plug_in()
        if self.running and namespace_problem() is None:
            pass_packets(self._inside())

    def _plug_in(self) -> None:
        if not self._plugged:
            self._network.connect(self._container, ipv4_address=self.host)
            self._plugged = True

    def _inside(self) -> list[str]:
        self._container.reload()
        return ["nsenter", "--target", str(self._container.attrs["State"]["Pid"]), "--net"]


class ContainerGround:
    """The ground of a replica set of containers."""

    host_outlives_node = False

    def __init__(self, client: docker.DockerClient, network: Network, subnet: str, image: str, remark: str) -> None:
        self.cut_problem = namespace_problem()
        self.description = f"containers of image {image}{remark}"
        self._docker, self._network, self._subnet, self._image = client, network, subnet, image
        self._wires = Wires(f"br-{str(network.id)[:12]}", subnet, ["ip"])
        self.client = self._wires.gateway
        """The address from which this process reaches the nodes."""
        self._containers: list[Container] = []
        self._clients = itertools.count(FIRST_CLIENT)

    def add(self, arguments: Sequence[str], *, disk_megabytes: int | None) -> ContainerNode:
        """Make a node."""
        if disk_megabytes is not None:
            raise RuntimeError("a node with a small disk must be a process: ask for `ways=('processes',)`")
        host = f"{self._subnet}.{FIRST_NODE + len(self._containers)}"
        command = ["--bind_ip_all", "--port", str(PORT), *arguments]
        container = self._docker.containers.create(self._image, command, labels={LABEL: str(os.getpid())})
        self._containers.append(container)
        self._docker.networks.get("bridge").disconnect(container)
        return ContainerNode(container, self._network, host)

    def client_place(self) -> Place:
        """Return a place for a client process, from where it reaches the nodes."""
        if self.cut_problem is not None:
            raise RuntimeError(f"there is no network to put a client into: {self.cut_problem}")
        return self._wires.place(next(self._clients))

    def close(self) -> None:
        """Remove every container."""
        self._wires.close()
        for container in self._containers:
            container.remove(force=True, v=True)


@contextmanager
def container_ground() -> Iterator[ContainerGround]:
    """Yield ground for containers, and clear everything away afterwards."""
    image, remark = available_image(os.environ.get("APP_TEST_MONGO_IMAGE", OFFICIAL_IMAGE))
    with ExitStack() as stack:
        client = docker.from_env(timeout=120)
        stack.callback(client.close)
        _sweep(client)
        network, subnet = _network(client)
        stack.callback(network.remove)
        ground = ContainerGround(client, network, subnet, image, remark)
        try:
            yield ground
        finally:
            ground.close()


def _network(client: docker.DockerClient) -> tuple[Network, str]:
    """Make a network with addresses that nothing here uses yet."""
    name = f"{LABEL}-{os.getpid()}-{next(_SETS)}"
    for _ in range(20):
        subnet = f"10.214.{secrets.randbelow(254) + 1}"
        pool = IPAMPool(subnet=f"{subnet}.0/24", gateway=f"{subnet}.1")
        try:
            network = client.networks.create(
                name, ipam=IPAMConfig(pool_configs=[pool]), labels={LABEL: str(os.getpid())}, internal=True
            )
        except APIError as exc:
            if "overlaps" not in str(exc.explanation):
                raise
        else:
            return network, subnet
    raise RuntimeError("20 subnets of 10.214.0.0/16 are all in use")


def _sweep(client: docker.DockerClient) -> None:
    """Remove what test runs that were killed have left."""
    for container in client.containers.list(all=True, filters={"label": LABEL}):
        if not _alive(container.labels[LABEL]):
            container.remove(force=True, v=True)
    for network in client.networks.list(filters={"label": LABEL}):
        if not _alive(network.attrs["Labels"][LABEL]):
            network.remove()


def _alive(pid: str) -> bool:
    return os.path.exists(f"/proc/{pid}")
