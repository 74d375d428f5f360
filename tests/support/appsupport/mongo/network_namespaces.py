"""Network namespaces of this machine, joined by a bridge of their own: a network that tests can really cut."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import Flag, auto
from pathlib import Path

PREFIX = "appdbt"
NAMESPACES = Path("/run/netns")
FIRST_NODE, FIRST_CLIENT = 11, 101
"""The last number of addresses on a bridge."""
_NUMBERS = itertools.count(1)


class Way(Flag):
    """A direction of packets, as seen from the side that drops them."""

    INCOMING = auto()
    OUTGOING = auto()
    BOTH = INCOMING | OUTGOING


def namespace_problem() -> str | None:
    """Return why no network can be made and cut here, or ``None``."""
    if not sys.platform.startswith("linux"):
        return f"network namespaces need Linux, and this is {sys.platform}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in ("ip", "iptables", "nsenter") if shutil.which(name) is None]
    if missing:
        return f"there is no {' and no '.join(missing)} (Debian: `apt-get install iproute2 iptables util-linux`)"
    tried = subprocess.run(_ip("netns", "list"), capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"`ip netns list` says: {tried.stderr.strip()}"


def filter_packets(inside: Sequence[str], peers: Sequence[str], way: Way) -> None:
    """Drop packets from or to *peers*; *inside* is the start of a command that runs in the namespace."""
    for peer in peers:
        if Way.INCOMING in way:
            _run([*inside, "iptables", "-w", "-I", "INPUT", "-s", peer, "-j", "DROP"])
        if Way.OUTGOING in way:
            _run([*inside, "iptables", "-w", "-I", "OUTPUT", "-d", peer, "-j", "DROP"])


def pass_packets(inside: Sequence[str]) -> None:
    """Take every filter of the namespace away."""
    _run([*inside, "iptables", "-w", "-F"])


class Place:
    """A namespace with one address, plugged into a bridge."""

    def __init__(self, name: str, address: str, hub: Sequence[str], plug: str) -> None:
        self.name, self.address = name, address
        self.inside = ("ip", "netns", "exec", name)
        """The start of a command that is to run here."""
        self._hub, self._plug = list(hub), plug

    def unplug(self) -> None:
        """Cut the place off from everybody."""
        _run([*self._hub, "link", "set", self._plug, "down"])

    def plug_in(self) -> None:
        """Undo ``unplug``."""
        _run([*self._hub, "link", "set", self._plug, "up"])

    def drop(self, peers: Sequence[str], way: Way = Way.BOTH) -> None:
        """Drop packets from or to *peers*."""
        filter_packets(self.inside, peers, way)

    def heal(self) -> None:
        """Pass all packets again."""
        pass_packets(self.inside)
        self.plug_in()


class Wires:
    """A bridge, and the places that are plugged into it.

    Args:
        bridge: The bridge's name.
        subnet: The first three numbers of every address.
        hub: The command that reaches the bridge: ``ip``, or ``ip -n NAMESPACE``.
    """

    def __init__(self, bridge: str, subnet: str, hub: Sequence[str]) -> None:
        self.subnet = subnet
        self.gateway = f"{subnet}.1"
        """The address by which this machine itself is on the bridge."""
        self._bridge, self._hub = bridge, list(hub)
        self._places = ExitStack()

    def place(self, last: int) -> Place:
        """Make a place whose address ends in *last*; it goes with the wires."""
        return self._places.enter_context(self._place(last))

    @contextmanager
    def _place(self, last: int) -> Iterator[Place]:
        name, number = _new_name(), next(_NUMBERS)
        inner, outer = f"ai{os.getpid()}-{number}", f"ao{os.getpid()}-{number}"
        address = f"{self.subnet}.{last}"
        with _namespace(name):
            _run([*self._hub, "link", "add", outer, "type", "veth", "peer", "name", inner])
            _run([*self._hub, "link", "set", inner, "netns", name])
            _run([*self._hub, "link", "set", outer, "master", self._bridge, "up"])
            _run(_ip("-n", name, "address", "add", f"{address}/24", "dev", inner))
            _run(_ip("-n", name, "link", "set", inner, "up"))
            _run(_ip("-n", name, "link", "set", "lo", "up"))
            yield Place(name, address, self._hub, outer)

    def close(self) -> None:
        """Remove all places."""
        self._places.close()


@contextmanager
def wires() -> Iterator[Wires]:
    """Yield a new bridge that this machine reaches too, in a namespace where no other firewall rules its packets."""
    _sweep()
    hub, number = _new_name(), next(_NUMBERS)
    subnet = f"10.213.{secrets.randbelow(254) + 1}"
    near, far = f"ar{os.getpid()}-{number}", f"ah{os.getpid()}-{number}"
    with _namespace(hub):
        _run(_ip("-n", hub, "link", "add", "wires", "type", "bridge"))
        _run(_ip("-n", hub, "link", "set", "wires", "up"))
        _run(_ip("link", "add", near, "type", "veth", "peer", "name", far))
        _run(_ip("link", "set", far, "netns", hub))
        _run(_ip("-n", hub, "link", "set", far, "master", "wires", "up"))
        _run(_ip("address", "add", f"{subnet}.1/24", "dev", near))
        _run(_ip("link", "set", near, "up"))
        made = Wires("wires", subnet, _ip("-n", hub))
        try:
            yield made
        finally:
            made.close()


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    _run(_ip("netns", "add", name))
    try:
        yield
    finally:
        _remove(name)


def _remove(name: str) -> None:
    """Remove a namespace and end what runs in it; its links go too."""
    listed = subprocess.run(_ip("netns", "pids", name), capture_output=True, text=True, check=False).stdout
    for pid in map(int, listed.split()):
        os.kill(pid, 9)
    _run(_ip("netns", "delete", name))


def _sweep() -> None:
    """Remove what test runs that were killed have left."""
    for file in NAMESPACES.glob(f"{PREFIX}-*-*"):
        owner = re.fullmatch(rf"{PREFIX}-(\d+)-\d+", file.name)
        if owner is not None and not Path(f"/proc/{owner[1]}").exists():
            _remove(file.name)


def _new_name() -> str:
    return f"{PREFIX}-{os.getpid()}-{next(_NUMBERS)}"


def _ip(*arguments: str) -> list[str]:
    return ["ip", *arguments]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
