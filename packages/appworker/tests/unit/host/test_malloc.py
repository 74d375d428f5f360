"""One arena for all threads, unless the environment says otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Each thread frees what another allocated; glibc counts the arenas that it made for them.
COUNT_ARENAS = """
import ctypes, ctypes.util, sys, threading
from appworker.host.malloc import share_one_arena
share_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
barrier = threading.Barrier(6)
def work():
    barrier.wait()
    kept = [libc.malloc(2000) for _ in range(200)]
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.malloc_stats()
"""


def arenas(**environment: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", COUNT_ARENAS], capture_output=True, text=True, check=True, env=_merged(environment)
    )
    return run.stderr.count("Arena ")


def _merged(environment: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    return kept | environment


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_all_threads_share_one_arena() -> None:
    assert arenas() == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_environment_overrides_malloc_setting() -> None:
    assert arenas(MALLOC_ARENA_MAX="4") > 1
