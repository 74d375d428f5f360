"""The limits of an actor's process that the operating system enforces: memory, and processor time."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

from appworker.errors import ActorLoadError

_PR_SET_PDEATHSIG = 1
MIB = 1024 * 1024


def die_with_parent() -> None:
    """Have the system kill this process when the worker dies; where it cannot, the end of the pipe does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def limit_memory(actor: str, limit: int) -> None:
    """Let this process take *limit* bytes of address space beside what it has now.

    Raises:
        ActorLoadError: This platform cannot do that.
    """
    try:
        import resource  # noqa: PLC0415 - it does not exist everywhere

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError) as exc:
        raise ActorLoadError(actor, f"memory_limit cannot be held on this platform ({exc}); leave it out") from exc
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    # Address space and not resident memory: the system has no limit for that. So what is mapped now counts as given.
    wanted = pages * os.sysconf("SC_PAGE_SIZE") + limit
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def limit_cpu(actor: str, limit: timedelta) -> None:
    """Let this process use *limit* of processor time beside what it has used; then SIGXCPU ends it.

    Raises:
        ActorLoadError: This platform cannot do that.
    """
    try:
        import resource  # noqa: PLC0415 - it does not exist everywhere
    except ImportError as exc:
        raise ActorLoadError(actor, f"cpu_limit cannot be held on this platform ({exc}); leave it out") from exc
    # The limit is for the process's whole life, and a process runs many attempts.
    used = resource.getrusage(resource.RUSAGE_SELF)
    wanted = math.ceil(used.ru_utime + used.ru_stime + limit.total_seconds())
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def limit_behind(name: str, memory: int | None, cpu: timedelta | None) -> str:
    """Return which limit a death by the signal *name* points to, for a message; empty when none does.

    Args:
        name: Such as ``SIGKILL``.
        memory: The actor's memory limit in bytes, if it has one.
        cpu: The actor's limit of processor time, if it has one.
    """
    if name == "SIGXCPU" and cpu is not None:
        return f": it used up its cpu_limit of {cpu.total_seconds():g} s"
    if name == "SIGKILL":
        return ": this host may be out of memory"
    if name in {"SIGSEGV", "SIGABRT"} and memory is not None:
        return f": it may have reached its memory_limit of {memory / MIB:g} MiB"
    return ""
