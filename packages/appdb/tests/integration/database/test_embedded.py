"""The embedded mongod: what it refuses, and that it ends with whoever started it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appdb import EmbeddedServerError
from appdb.embedded import EmbeddedServer
from appsupport.hosts.process_status import gone, until_gone

OWNER = """
import asyncio, pathlib, sys
from appdb.embedded import EmbeddedServer

async def main():
    async with EmbeddedServer(pathlib.Path(sys.argv[1]), port=0):
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def running(data: Path) -> int:
    """Return the number of the mongod that holds the folder."""
    return int((data / "mongod.lock").read_text())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM], ids=lambda number: number.name)
def test_embedded_server_ends_with_its_process(how: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        mongod = running(tmp_path)
        assert not gone(mongod)
        owner.send_signal(how)
        asyncio.run(until_gone(mongod))

    assert gone(mongod)


async def test_taken_folder_names_pid_and_no_stale_reason(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path, port=0):
        with pytest.raises(EmbeddedServerError, match=rf"in use by another mongod \(pid {running(tmp_path)}\)"):
            await EmbeddedServer(tmp_path, port=0).start()
    with pytest.raises(EmbeddedServerError) as told:
        await EmbeddedServer(tmp_path, port=0, parameters={"noSuchParameter": "1"}).start()

    assert "in use" not in str(told.value)
