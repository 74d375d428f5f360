"""The registry of providers that work on a host."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from appworker.errors import ProviderUnavailableError
from appworker.providers.registry import ProviderLoadError, installed_providers, working

OFFERING = """
from appworker.errors import ProviderUnavailableError

class Chalk:
    name = "chalk"

    def check(self):
        pass

class Bare:
    pass
"""


class Working:
    name = "b-works"

    def check(self) -> None:
        """Return."""


class Lacking:
    name = "a-lacks"

    def check(self) -> None:
        raise ProviderUnavailableError(self.name, "its library is not installed", "install it")


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, offered: str) -> None:
    """Put a distribution that offers a provider where Python finds it."""
    (folder / "chalkboard.py").write_text(OFFERING)
    metadata = folder / "chalkboard-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: chalkboard\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[appworker.providers]\nchalk = {offered}\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "chalkboard", raising=False)


def test_unusable_provider_is_left_out() -> None:
    assert working([Working(), Lacking()]) == ("b-works",)


def test_built_in_providers_are_found() -> None:
    names = {provider.name for provider in installed_providers()}

    assert {"drawn-cards", "espeak-ng", "pyav-slideshow"} <= names
    assert "drawn-cards" in working(installed_providers())


def test_installed_package_offers_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "chalkboard:Chalk")

    assert "chalk" in working(installed_providers())


@pytest.mark.parametrize("offered", ["chalkboard:Bare", "chalkboard:Missing", "nowhere:Chalk"])
def test_non_provider_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: str) -> None:
    install(tmp_path, monkeypatch, offered)

    with pytest.raises(ProviderLoadError, match="provider 'chalk' cannot be loaded"):
        installed_providers()
