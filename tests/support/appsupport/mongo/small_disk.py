"""A disk that is small enough to be filled: a tmpfs, and the ballast that fills it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BLOCK = 64 * 1024


def disk_problem() -> str | None:
    """Return why no small disk can be mounted here, or ``None``."""
    if not sys.platform.startswith("linux"):
        return f"a small tmpfs needs Linux, and this is {sys.platform}"
    return None if os.geteuid() == 0 else "mounting a small tmpfs needs root"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a tmpfs of *megabytes* at *folder* for the length of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)  # noqa: S607
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # noqa: S607


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Fill the disk of *folder* but for *leave* bytes, and return the file that takes the space."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while _free(folder) > leave:
                file.write(bytes(min(BLOCK, _free(folder) - leave)))
        except OSError as exc:
            if exc.errno != 28:  # no space left: that is the point
                raise
    return ballast


def _free(folder: Path) -> int:
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize
