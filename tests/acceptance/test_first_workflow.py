"""The guide of a first workflow runs for real, as it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from appsupport.hosts.installed_hosts import Stack

GUIDE = Path(__file__).parents[2] / "docs/first-workflow.md"


def test_program_of_the_guide_runs(stack: Stack, tmp_path: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    definition = re.search(r"```json\n(\{.*?\n\})\n```", text, re.DOTALL)
    program = re.search(r"```python\n(# send\.py.*?)```", text, re.DOTALL)
    assert definition is not None
    assert program is not None
    (tmp_path / "postcard.json").write_text(definition[1])

    ran = subprocess.run(
        [sys.executable, "-c", program[1]],
        cwd=tmp_path,
        env={**os.environ, "ADDRESS": stack.address},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[:2] == ["What is on the postcard?", "Which one shall it be?"]
    assert lines[2].startswith("kept gc_")
    assert lines[3:] == ["runs again: wish, drawn, card", "What is on the postcard?", "2 branches"]
