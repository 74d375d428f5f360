"""``python -m appdb``: the same as the ``appdb`` command."""

from __future__ import annotations

from appdb.cli import main

if __name__ == "__main__":
    main(prog_name="appdb")
