"""The demo: starts all hosts and waits, or with --check runs the story once and says what it saw."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from appdemo.data_folder import FolderTakenError
from appdemo.demo_hosts import DemoHosts, Environments
from appdemo.host import HostError

DEFAULT_PORT = 8000


class InterruptedRunError(Exception):
    """Somebody asked us to stop."""


def main() -> int:
    """Run the demo and return its exit code."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    environments = Environments(database=options.database, server=options.server, worker=options.worker)
    try:
        if options.check:
            return _check(environments)
        return _serve(environments, options.data, options.port)
    except (HostError, FolderTakenError) as exc:
        print(f"demo: {exc}", file=sys.stderr)
        return 1
    except InterruptedRunError:
        return 0


def _serve(environments: Environments, folder: Path, port: int) -> int:
    hosts = DemoHosts(environments, folder, port)
    try:
        hosts.start()
        print(f"\n  Open {hosts.address} in a browser. Logs are in {folder / 'logs'}; stop with Ctrl-C.", flush=True)
        print(f"  For a worker of your own: {hosts.exports}", flush=True)
        print("  Kill the worker, the API host or the database, with -9 if you like: they come back.\n", flush=True)
        while True:
            hosts.keep()
            time.sleep(0.2)
    finally:
        hosts.stop()


def _check(environments: Environments) -> int:
    from appdemo.story_check import run_story

    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        hosts = DemoHosts(environments, Path(folder), port=0)
        try:
            hosts.start()
            script = Path(__file__).with_name("script.txt").read_text(encoding="utf-8")
            return run_story(hosts.address, script, Path(folder))
        finally:
            hosts.stop()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise InterruptedRunError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    for name in ("database", "server", "worker"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"folder of the {name} environment's commands")
    parser.add_argument("--data", type=Path, default=Path(".demo"), help="where data and logs stay")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="the page's port")
    parser.add_argument("--check", action="store_true", help="run the story once, without a browser")
    return parser


if __name__ == "__main__":
    sys.exit(main())
