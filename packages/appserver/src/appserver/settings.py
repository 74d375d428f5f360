"""The settings of an API host: from the environment, a ``.env`` file and the command line."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from appdb import InvalidDataError
from appdb.host import ENV_FILE, ENV_FILE_ENCODING, check_variables
from appserver.errors import ServerSettingsError

PREFIX = "APPSERVER_"


class ServerSettings(BaseSettings):
    """The settings of an API host; ``APP_`` names are shared with workers."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=ENV_FILE, env_file_encoding=ENV_FILE_ENCODING, frozen=True, extra="ignore"
    )

    mongo_uri: SecretStr = Field(
        SecretStr("mongodb://127.0.0.1:27017/?replicaSet=rs0"), validation_alias="APP_MONGO_URI"
    )
    mongo_database: str = Field("app", validation_alias="APP_MONGO_DATABASE", min_length=1, max_length=63)
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    guests: bool = True
    """Whether a visitor may become a guest, a user who has nothing but a key."""
    guests_per_hour: int = Field(60, ge=0, le=1_000_000)
    """Guests that one address may make in an hour; each host counts for itself."""
    guests_per_day: int = Field(10_000, ge=0, le=1_000_000)
    """Guests that may be made in a day, all hosts together."""
    # NoDecode: pydantic-settings would read the variable as JSON.
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may use the API, by commas, such as ``https://app.example``; with keys, never cookies."""
    trusted_proxies: str = "127.0.0.1"
    """Proxies whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed: addresses or networks, by commas."""
    streams_per_user: int = Field(20, ge=1, le=10_000)
    stream_ping_seconds: float = Field(4, ge=0.1, le=60)
    """Seconds between pings of a silent stream; clients built on httpx give up after 5 s of silence."""
    engine_slots: int = Field(4, ge=0, le=1_000)
    """Tasks of the engine, such as timers, that this host runs at a time; with 0 it leaves them to other hosts."""
    upload_max_bytes: int = Field(100 * 1024 * 1024, ge=1, le=2**31)
    """Bytes of one file that a person uploads; a question may take less. They lie in the temporary folder meanwhile."""
    shutdown_seconds: int = Field(8, ge=1, le=300)
    """Seconds that open requests may take after SIGTERM."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _parted(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"https?://[^/\s*]+", origin):
                raise ValueError(f"{origin!r} is no origin; write one such as https://app.example, without a path")
        return value


def load_settings(**overrides: object) -> ServerSettings:
    """Read the settings; *overrides* from the command line win.

    Raises:
        ServerSettingsError: A setting is wrong, or an ``APPSERVER_`` or ``APP_MONGO_`` variable is unknown.
    """
    # ``extra="ignore"`` alone would pass over a misspelt name, and leave the default.
    try:
        check_variables(ServerSettings.model_fields, prefix=PREFIX)
        return ServerSettings(**overrides)  # type: ignore[arg-type]  # checked by the model
    except InvalidDataError as exc:
        raise ServerSettingsError(str(exc)) from exc
    except ValidationError as exc:
        problems = "; ".join(f"{_variable(error['loc'])}: {error['msg']}" for error in exc.errors())
        raise ServerSettingsError(f"the settings do not fit: {problems}") from exc


def _variable(place: tuple[int | str, ...]) -> str:
    """Return the variable of the setting at *place*; those that hosts share are named by it already."""
    name, *rest = map(str, place)
    whole = name if name.startswith("APP_") else f"{PREFIX}{name.upper()}"
    return ".".join([whole, *rest])
