from __future__ import annotations

from pathlib import Path

import pytest

from appserver.modules.builtin import BUILTIN, host_registry
from appserver.modules.registry import ModuleRegistry
from appsupport.workflows.small_modules import GiveNumber

ENTRY_POINTS = """[appserver.modules]
weather = its_weather:Weather
form = its_weather:Form
missing = its_weather:Missing
other = its_weather:Other
misnamed = its_weather:Misnamed
unwritten = its_other:Anything
"""
SOURCE = """
from appserver.modules.user.form import Form as ShippedForm
from appsupport.workflows.small_modules import GiveNumber

class Weather(GiveNumber):
    type = "weather.report@1"

class Form(ShippedForm):
    repeatable = True

class Misnamed(GiveNumber):
    type = "Weather"

class Other:
    type = "other.thing@1"
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that offers modules, some of which cannot be used."""
    info = tmp_path / "its_weather-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: its-weather\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "its_weather.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("installed")
def test_module_is_offered_by_being_installed(caplog: pytest.LogCaptureFixture) -> None:
    registry = host_registry()

    assert registry.find("weather.report@1") is not None
    assert not registry.runs_inline("weather.report@1")
    assert {record.entry_point for record in caplog.records} == {  # type: ignore[attr-defined]
        "its_weather:Missing",
        "its_weather:Other",
        "its_weather:Misnamed",
        "its_other:Anything",
    }


@pytest.mark.usefixtures("installed")
def test_shipped_module_wins_over_an_installed_one() -> None:
    found = host_registry().find("user.form@1")

    assert found is not None
    assert not found.repeatable


def test_shipped_modules_run_inline() -> None:
    registry = host_registry()

    assert {module.type for module in registry} >= BUILTIN
    assert all(registry.runs_inline(type_) for type_ in BUILTIN)


def test_registry_is_in_the_order_of_types() -> None:
    registry = ModuleRegistry([type("Z", (GiveNumber,), {"type": "z.z@1"})(), GiveNumber()])

    assert [module.type for module in registry] == ["give.number@1", "z.z@1"]
    assert registry.find("give.number@2") is None
