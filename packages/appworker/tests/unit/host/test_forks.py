"""Signals to stop: which are heeded, and that forked processes are rid of what their parent does with them."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

TIMEOUT_SECONDS = 60
"""Seconds that a slow machine gets."""


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)


@pytest.mark.parametrize(("disposition", "heeded"), [("SIG_DFL", True), ("SIG_IGN", False)])
def test_hangup_is_heeded_unless_ignored_from_start(disposition: str, heeded: bool) -> None:
    done = run(f"""
        import signal
        from appworker.host.forks import heeded
        signal.signal(signal.SIGHUP, signal.{disposition})
        print(signal.SIGHUP in heeded())
    """)

    assert done.stdout.strip() == str(heeded)


def test_terminated_forks_die_without_parents_notice() -> None:
    done = run("""
        import asyncio, os, signal, uvloop
        from appworker.host.forks import part_from_forks

        async def main():
            heard = []
            part_from_forks()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard.append, 1)
            codes = await asyncio.to_thread(lambda: {fork_and_terminate() for _ in range(200)})
            await asyncio.sleep(0.2)
            print(codes, heard)

        def fork_and_terminate():
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            os.kill(child, signal.SIGTERM)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        uvloop.run(main())
    """)

    assert done.stdout.strip() == "{-15} []", done.stderr


def test_fork_does_not_hold_foreign_pipe() -> None:
    done = run("""
        import os, socket
        from appworker.host.forks import part_from_forks
        ours, theirs = socket.socketpair()
        part_from_forks([theirs.fileno()])
        going, on = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(going, 1)
            os._exit(0)
        theirs.close()
        ours.settimeout(30)
        print(ours.recv(1))
        os.write(on, b"x")
        os.waitpid(child, 0)
    """)

    assert done.stdout.strip() == "b''", done.stderr
