"""Settings of health and processes: strict, and refused with what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appworker.settings import PREFIX, WorkerSettings, WorkerSettingsError, load_settings

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No ``.env`` of the checkout."""
    monkeypatch.chdir(tmp_path)


def test_defaults_are_one_process_without_health() -> None:
    settings = load_settings()

    assert (settings.health_host, settings.health_port, settings.processes) == ("127.0.0.1", None, 1)


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPWORKER_HEALTH_HOST", "0.0.0.0")
    monkeypatch.setenv("APPWORKER_HEALTH_PORT", "9100")
    monkeypatch.setenv("APPWORKER_PROCESSES", "3")
    settings = load_settings()

    assert (settings.health_host, settings.health_port, settings.processes) == ("0.0.0.0", 9100, 3)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("APPWORKER_HEALTH_PORT", "65536", "APPWORKER_HEALTH_PORT: "),
        ("APPWORKER_HEALTH_PORT", "-1", "APPWORKER_HEALTH_PORT: "),
        ("APPWORKER_HEALTH_PORT", "", "APPWORKER_HEALTH_PORT: "),
        ("APPWORKER_HEALTH_HOST", "", "APPWORKER_HEALTH_HOST: "),
        ("APPWORKER_PROCESSES", "0", "APPWORKER_PROCESSES: "),
        ("APPWORKER_PROCESSES", "65", "APPWORKER_PROCESSES: "),
        ("APPWORKER_PROCESS", "2", "did you mean APPWORKER_PROCESSES"),
        ("APP_MONGO_DB", "prod", "did you mean APP_MONGO_DATABASE"),
        ("APPWORKER_HEALTHPORT", "1", "did you mean APPWORKER_HEALTH_PORT"),
    ],
)
def test_invalid_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str, message: str) -> None:
    monkeypatch.setenv(name, text)

    with pytest.raises(WorkerSettingsError, match=message):
        load_settings()


@pytest.mark.parametrize("name", ["LEASE", "HEARTBEAT", "DRAIN", "RETENTION"])
@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e30", "-1", "1e400", "soon", ""])
def test_impossible_duration_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(f"APPWORKER_{name}", text)

    with pytest.raises(WorkerSettingsError) as told:
        load_settings()
    assert f"APPWORKER_{name}: " in str(told.value)
    assert "\n" not in str(told.value)


def test_every_process_needs_port() -> None:
    assert load_settings(health_port=65_534, processes=2).health_port == 65_534
    with pytest.raises(WorkerSettingsError, match="a port for each"):
        load_settings(health_port=65_535, processes=2)


def test_readme_lists_exactly_the_settings() -> None:
    table = README.read_text(encoding="utf-8").partition("## Settings")[2]
    listed = {
        name for row in re.findall(r"^\| (`A.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }

    assert listed == {
        f"APP_{name.upper()}" if name.startswith("mongo_") else f"{PREFIX}{name.upper()}"
        for name in WorkerSettings.model_fields
    }
