"""Forks of actors: forked processes get neither the signal handling nor the pipes of their parent."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals to stop: of a service manager, of Ctrl-C, and of a terminal that closes."""


def heeded() -> list[signal.Signals]:
    """Return which of the signals to stop are to be heeded: one that was ignored at the start stays so (``nohup``)."""
    return [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]


def part_from_forks(descriptors: Iterable[int] = ()) -> None:
    """Have each process that is forked from now on die of a signal to stop, and hold none of *descriptors*.

    Python's handlers, and the descriptor that wakes the event loop, are copied by a fork: a forked child would not die
    of SIGTERM, and tell its parent to stop in place of itself. Call it before handlers are installed.
    """
    parting = _Parting(descriptors)
    os.register_at_fork(
        before=parting.hold_signals, after_in_parent=parting.let_signals_in, after_in_child=parting.in_child
    )


class _Parting:
    """Holds signals while a thread forks, so that none reaches the child before it is rid of the parent's handlers."""

    def __init__(self, descriptors: Iterable[int]) -> None:
        self._handlers = {number: signal.getsignal(number) or signal.SIG_DFL for number in STOPPING}
        self._descriptors = tuple(descriptors)
        self._forking = threading.local()

    def hold_signals(self) -> None:
        self._forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)

    def let_signals_in(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._forking.mask)

    def in_child(self) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        # Overwritten and not closed: objects that know the numbers are still there, and would close what has them next.
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in self._descriptors:
            os.dup2(nothing, descriptor, inheritable=False)
        os.close(nothing)
        self.let_signals_in()
