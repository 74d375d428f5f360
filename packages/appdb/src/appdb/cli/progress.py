"""The progress bar of a task: one line that a terminal redraws; plain lines go everywhere else."""

from __future__ import annotations

import os
import shutil
import sys

import click

from appdb.cli.output import percent, printable, width
from appdb.models.tasks import Progress

BAR_COLUMNS = 24


def has_terminal() -> bool:
    """Return whether a line can be drawn again: both outputs are a terminal, and plain text was not asked for."""
    # A bar in a file or a pipe would be one line without an end.
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and sys.stdout.isatty() and sys.stderr.isatty()


class ProgressBar:
    """A bar on standard error.

    Args:
        drawn: Whether to draw at all.
    """

    def __init__(self, *, drawn: bool) -> None:
        self.drawn = drawn
        self._line = ""

    def show(self, progress: Progress) -> None:
        """Draw *progress*, which may be less than before: another attempt starts at nothing."""
        self._line = bar(progress, shutil.get_terminal_size().columns - 1)
        self._write(self._line)

    def print(self, text: str, *, err: bool = False) -> None:
        """Print a line of *text* above the bar."""
        self._write("")
        click.echo(text, err=err)
        self._write(self._line)

    def close(self) -> None:
        """Take the bar away."""
        self._write("")
        self._line = ""

    def _write(self, line: str) -> None:
        if self.drawn and self._line:
            # Carriage return, then "erase to the end of the line": a shorter line leaves nothing of a longer one.
            click.echo(f"\r{line}\x1b[K", nl=False, err=True, color=True)


def bar(progress: Progress, columns: int) -> str:
    """Return *progress* as one line of at most *columns*."""
    full = round(progress.fraction * BAR_COLUMNS)
    drawn = f"[{'#' * full}{'-' * (BAR_COLUMNS - full)}] {percent(progress):>4} "
    # Cut by columns and not by characters: a line that wraps cannot be drawn over.
    for character in printable(progress.message):
        if width(drawn + character) > columns:
            break
        drawn += character
    return drawn[:columns]
