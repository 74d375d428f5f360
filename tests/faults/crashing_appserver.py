"""``appserver``, which dies behind the n-th append to a run's log where its environment says so."""

from __future__ import annotations

import sys

from appserver.__main__ import main
from appsupport.faults import append_crashes

if __name__ == "__main__":
    append_crashes.arm()
    sys.exit(main())
