"""Built wheels and sdists, for the tests that look at them before a release."""

from __future__ import annotations

import os
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
