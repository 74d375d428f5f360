"""Memory and computing time of a process, by /proc."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 1024 * 1024


def cpu_seconds(pid: int) -> float:
    """Return how long the process has computed, for itself and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Return how much memory of the process is in RAM, in MiB."""
    resident_pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE") / MIB
