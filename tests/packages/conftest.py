"""Built wheels and sdists, for the tests that look at them before a release."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("appdb", "appserver", "appworker")


@pytest.fixture(scope="session")
def dist() -> Path:
    """The folder of the built wheels and sdists."""
    return Path(os.environ["APP_TEST_DIST"])


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).parents[2]


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> str:
    """Each distribution in turn."""
    name: str = request.param
    return name


@pytest.fixture
def wheel(dist: Path, package: str) -> Path:
    """The one wheel of the distribution."""
    (found,) = dist.glob(f"{package}-*.whl")
    return found


@pytest.fixture(scope="session")
def environments(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A fresh environment for each distribution, with its wheel and what that wheel asks for."""
    made = {}
    for package, needed in {"appdb": [], "appserver": ["appdb"], "appworker": ["appdb"]}.items():
        place = tmp_path_factory.mktemp(package)
        wheels = [str(next(dist.glob(f"{name}-*.whl"))) for name in (package, *needed)]
        subprocess.run([sys.executable, "-m", "virtualenv", "-q", str(place)], check=True)
        made[package] = place / ("Scripts" if sys.platform == "win32" else "bin")
        subprocess.run([str(made[package] / "python"), "-m", "pip", "install", "-q", *wheels], check=True)
    return made
