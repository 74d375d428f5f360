"""The packages of ``examples/``: built, installed beside the released wheels, and found by the host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOUND = """
from appserver.modules.builtin import host_registry
registry = host_registry()
module = registry.find("example.split_script@1")
print(type(module).__module__, registry.runs_inline(module.type))
"""


@pytest.fixture(scope="module")
def installed(root: Path, environments: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example, installed beside an environment of the API host."""
    place = tmp_path_factory.mktemp("example")
    source = root / "examples/appserver-module-example"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    target = place / "installed"
    # Without its dependencies: appserver is there, from the wheel that would be released.
    pip = [str(environments["appserver"] / "python"), "-m", "pip", "install", "-q", "--target", str(target)]
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    subprocess.run([*pip, "pytest>=9,<10"], check=True)
    return target


def run(environments: dict[str, Path], installed: Path, *command: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    python = str(environments["appserver"] / "python")
    return subprocess.run([python, *command], check=False, capture_output=True, text=True, env=variables)


def test_host_finds_installed_module(environments: dict[str, Path], installed: Path) -> None:
    found = run(environments, installed, "-c", FOUND)

    assert found.returncode == 0, found.stderr
    # It is no shipped one, so a task runs it, and no request.
    assert found.stdout.split() == ["appserver_module_example.split_script", "False"]


def test_example_passes_its_own_tests(environments: dict[str, Path], installed: Path, root: Path) -> None:
    tests = root / "examples/appserver-module-example"
    checked = run(environments, installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests))

    assert checked.returncode == 0, checked.stdout + checked.stderr
