"""Nodes of a replica set as processes: each in a network namespace where one can be made, else on ports here."""

from __future__ import annotations

import itertools
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from appdb.embedded import find_mongod, free_port
from appsupport.mongo.network_namespaces import FIRST_CLIENT, FIRST_NODE, Place, Way, Wires, namespace_problem, wires
from appsupport.mongo.small_disk import small_disk

PORT = 27017
STOP_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """The place of a process of the set: a namespace or this machine."""

    host: str
    port: int
    place: Place | None

    @property
    def inside(self) -> Sequence[str]:
        return () if self.place is None else self.place.inside


class ProcessNode:
    """A mongod that is a process."""

    def __init__(self, spot: Spot, folder: Path, arguments: Sequence[str]) -> None:
        self.host, self.port = spot.host, spot.port
        self.data = folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self._spot, self._arguments = spot, list(arguments)
        self._log = folder / "mongod.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, if it does not run."""
        if self.running:
            return
        # Nodes share the file system, so their ports must not meet there as sockets.
        own = ["--bind_ip", self.host, "--port", str(self.port), "--dbpath", str(self.data), "--nounixsocket"]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._spot.inside, str(find_mongod()), *own, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def wait(self) -> None:
        """Return when it has ended."""
        if self._process is not None:
            self._process.wait(STOP_SECONDS)

    def log_tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:]) if self._log.exists() else ""

    def unplug(self) -> None:
        """Cut it off from everybody."""
        self._needed_place().unplug()

    def drop(self, peers: Sequence[str], way: Way) -> None:
        """Drop its packets from or to *peers*."""
        self._needed_place().drop(peers, way)

    def heal(self) -> None:
        """Undo ``unplug`` and ``drop``."""
        if self._spot.place is not None:
            self._spot.place.heal()

    def _needed_place(self) -> Place:
        if self._spot.place is None:
            raise RuntimeError("the node is in no network that could be cut; skip the test with `cut_problem`")
        return self._spot.place


class ProcessGround:
    """The ground of a replica set of processes."""

    host_outlives_node = True

    def __init__(self, folder: Path, network: Wires | None, problem: str | None, disks: ExitStack) -> None:
        self.cut_problem = problem
        kind = "each in a network namespace" if network else f"on 127.0.0.1, NOTHING CAN BE CUT: {problem}"
        self.description = f"mongod processes, {kind}"
        self.client = network.gateway if network else "127.0.0.1"
        """The address from which this process reaches the nodes."""
        self._folder, self._network, self._disks = folder, network, disks
        self._nodes: list[ProcessNode] = []
        self._clients = itertools.count(FIRST_CLIENT)

    def add(self, arguments: Sequence[str], *, disk_megabytes: int | None) -> ProcessNode:
        """Make a node, and a small disk for its data if one is asked for."""
        number = len(self._nodes)
        if self._network is None:
            spot = Spot(host="127.0.0.1", port=free_port(), place=None)
        else:
            place = self._network.place(FIRST_NODE + number)
            spot = Spot(host=place.address, port=PORT, place=place)
        folder = self._folder / f"node-{number}"
        if disk_megabytes is not None:
            self._disks.enter_context(small_disk(folder / "data", disk_megabytes))
        self._nodes.append(ProcessNode(spot, folder, arguments))
        return self._nodes[-1]

    def client_place(self) -> Place:
        """Return a place for a client process, from where it reaches the nodes."""
        if self._network is None:
            raise RuntimeError(f"there is no network to put a client into: {self.cut_problem}")
        return self._network.place(next(self._clients))

    def close(self) -> None:
        """End every node."""
        for node in self._nodes:
            node.signal(signal.SIGKILL)
            node.wait()


@contextmanager
def process_ground() -> Iterator[ProcessGround]:
    """Yield ground for processes, and clear everything away afterwards."""
    problem = namespace_problem()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appdb-set-")))
        network = None if problem else stack.enter_context(wires())
        ground = ProcessGround(folder, network, problem, stack)
        try:
            yield ground
        finally:
            ground.close()
