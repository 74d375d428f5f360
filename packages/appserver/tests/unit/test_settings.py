from __future__ import annotations

import re
from pathlib import Path

import pytest

from appserver.errors import ServerSettingsError
from appserver.settings import PREFIX, ServerSettings, load_settings

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run where no ``.env`` file lies about."""
    monkeypatch.chdir(tmp_path)
    for name in ("APP_MONGO_URI", "APP_MONGO_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_defaults_serve_this_machine_only() -> None:
    settings = load_settings()

    assert (settings.host, settings.port, settings.guests, settings.streams_per_user) == ("127.0.0.1", 8000, True, 20)
    assert settings.mongo_database == "app"


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPSERVER_PORT", "9000")
    monkeypatch.setenv("APPSERVER_GUESTS", "false")
    monkeypatch.setenv("APP_MONGO_DATABASE", "other")

    settings = load_settings()

    assert (settings.port, settings.guests, settings.mongo_database) == (9000, False, "other")


def test_environment_overrides_env_file(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / ".env").write_text("APPSERVER_PORT=9000\nAPPSERVER_HOST=::1\nAPP_OTHER_HOST=x\n")
    monkeypatch.setenv("APPSERVER_PORT", "9001")

    settings = load_settings()

    assert (settings.port, settings.host) == (9001, "::1")


def test_env_file_with_byte_order_mark_is_read(elsewhere: Path) -> None:
    (elsewhere / ".env").write_text("APP_MONGO_DATABASE=marked\n", encoding="utf-8-sig")

    assert load_settings().mongo_database == "marked"


def test_env_file_not_utf_8_is_refused(elsewhere: Path) -> None:
    (elsewhere / ".env").write_bytes("APP_MONGO_DATABASE=prod\n".encode("utf-16"))

    with pytest.raises(ServerSettingsError, match=r"^\.env: it is no text in UTF-8; save it as UTF-8$"):
        load_settings()


def test_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPSERVER_PORT", "9000")

    assert load_settings(port=9002).port == 9002


def test_unknown_variable_error_names_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPSERVER_STREAM_PER_USER", "3")

    with pytest.raises(
        ServerSettingsError, match="APPSERVER_STREAM_PER_USER: unknown setting; did you mean APPSERVER_STREAMS_PER_USER"
    ) as refusal:
        load_settings()

    assert "APPSERVER_HOST" in str(refusal.value)


def test_unknown_name_in_env_file_refused(elsewhere: Path) -> None:
    (elsewhere / ".env").write_text("APPSERVER_PROT=3\n")

    with pytest.raises(ServerSettingsError, match="APPSERVER_PROT: unknown setting; did you mean APPSERVER_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("APPSERVER_PORT", "x", "APPSERVER_PORT"),
        ("APPSERVER_PORT", "70000", "APPSERVER_PORT"),
        ("APPSERVER_LOG_LEVEL", "LOUD", "APPSERVER_LOG_LEVEL"),
        ("APPSERVER_STREAMS_PER_USER", "0", "APPSERVER_STREAMS_PER_USER"),
        ("APPSERVER_STREAM_PING_SECONDS", "inf", "APPSERVER_STREAM_PING_SECONDS"),
        ("APPSERVER_STREAM_PING_SECONDS", "nan", "APPSERVER_STREAM_PING_SECONDS"),
        ("APPSERVER_SHUTDOWN_SECONDS", "1e30", "APPSERVER_SHUTDOWN_SECONDS"),
        ("APP_MONGO_DATABASE", "", "APP_MONGO_DATABASE"),
    ],
)
def test_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ServerSettingsError, match=f"{named}: "):
        load_settings()


def test_password_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_MONGO_URI", "mongodb://user:hunter2@db/?replicaSet=rs0")

    settings = load_settings()

    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1


@pytest.mark.parametrize(
    ("name", "right"), [("APP_MONGO_URL", "APP_MONGO_URI"), ("APP_MONGO_DB", "APP_MONGO_DATABASE")]
)
def test_misspelt_database_name_is_no_default(monkeypatch: pytest.MonkeyPatch, name: str, right: str) -> None:
    monkeypatch.setenv(name, "prod")

    with pytest.raises(ServerSettingsError, match=f"{name}: unknown setting; did you mean {right}"):
        load_settings()


def test_readme_lists_exactly_the_settings() -> None:
    table = README.read_text(encoding="utf-8").partition("## Settings")[2]
    listed = {
        name for row in re.findall(r"^\| (`A.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }

    assert listed == {
        f"APP_{name.upper()}" if name.startswith("mongo_") else f"{PREFIX}{name.upper()}"
        for name in ServerSettings.model_fields
    }
