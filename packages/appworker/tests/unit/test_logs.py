"""Logs reach standard error as lines of JSON, and no fault in them reaches the code that logs."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

TIMEOUT_SECONDS = 60
"""Seconds that a slow machine gets."""

BEGIN = "import logging, os, sys, threading\nfrom appworker.logs import configure_logs\nconfigure_logs('INFO')\n"


def run(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BEGIN + textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)


def test_forked_children_can_log() -> None:
    done = run("""
        def chatter():
            while True:
                logging.info("x" * 10_000)
        threading.Thread(target=chatter, daemon=True).start()
        for number in range(50):
            child = os.fork()
            if child == 0:
                logging.warning("child %d", number)
                os._exit(0)
            os.waitpid(child, 0)
        os._exit(0)
    """)

    assert done.returncode == 0
    assert done.stderr.count('"child ') == 50


def test_wrong_log_call_raises_nothing() -> None:
    done = run("""
        class Untold:
            def __repr__(self):
                raise LookupError
        logging.info("%d of %d", "one")
        logging.info("with", extra={"odd": Untold()})
        sys.stdout.close()
        sys.stderr.close()
        logging.info("%d of %d", "one")
        logging.info("later")
    """)

    assert done.returncode == 0
    assert json.loads(done.stderr.splitlines()[-1])["event"] == "later"


def test_closed_log_reader_raises_nothing() -> None:
    done = run("""
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 2)
        configure_logs("INFO")
        logging.info("to nobody")
        print("still here")
    """)

    assert (done.returncode, done.stdout) == (0, "still here\n")


def test_million_character_text_is_cut_visibly() -> None:
    done = run("""
        try:
            raise ValueError("x" * 1_000_000)
        except ValueError:
            logging.exception("y" * 1_000_000)
    """)
    line = json.loads(done.stderr)

    assert len(done.stderr) < 50_000
    assert line["event"].endswith("[cut: it has 1,000,000 characters]")
    assert line["exception"].startswith("Traceback")
