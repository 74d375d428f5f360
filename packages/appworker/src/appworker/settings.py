"""The settings of a worker host: from the environment, a ``.env`` file and the command line."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from appdb import InvalidDataError
from appdb.host import ENV_FILE, ENV_FILE_ENCODING, check_variables
from appdb.models import MAX_DURATION
from appworker.errors import AppWorkerError

PREFIX = "APPWORKER_"
MAX_PORT = 65_535
OPENAI_BASE_URL = "https://api.openai.com/v1"


class WorkerSettingsError(AppWorkerError):
    """A setting is wrong or unknown; the message names it."""


class WorkerSettings(BaseSettings):
    """The settings of a worker host; ``APP_`` names are shared with API hosts."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=ENV_FILE, env_file_encoding=ENV_FILE_ENCODING, frozen=True, extra="ignore"
    )

    mongo_uri: SecretStr = Field(
        SecretStr("mongodb://127.0.0.1:27017/?replicaSet=rs0"), validation_alias="APP_MONGO_URI"
    )
    mongo_database: str = Field("app", validation_alias="APP_MONGO_DATABASE", min_length=1, max_length=63)
    actors: Annotated[tuple[str, ...], NoDecode] = ()
    """What to offer: entry points by name, or ``module:attribute``; empty for every installed entry point."""
    queues: Annotated[tuple[str, ...], NoDecode] = ()
    """Where to claim from; empty for the queues of the offered actors."""
    slots: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=1_000)
    """How many tasks run at a time."""
    lease: timedelta = Field(timedelta(seconds=30), ge=timedelta(seconds=1))
    heartbeat: timedelta = Field(timedelta(seconds=5), ge=timedelta(milliseconds=100))
    drain: timedelta = Field(timedelta(seconds=30), ge=timedelta(0))
    """How long running tasks may go on after SIGTERM before they are handed back."""
    retention: timedelta = Field(timedelta(days=7), ge=timedelta(minutes=1))
    """How long final tasks and their logs are kept; what they made stays."""
    health_host: str = Field("127.0.0.1", min_length=1)
    """Where health and metrics are served; loopback unless something outside must reach them."""
    health_port: int | None = Field(None, ge=0, le=MAX_PORT)
    """The port of health and metrics: 0 takes a free one, and without one they are not served."""
    processes: int = Field(1, ge=1, le=64)
    """How many worker processes this host runs, each with ``slots`` of its own."""
    openai_base_url: str = Field(OPENAI_BASE_URL, pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")
    """Where the actor ``llm`` finds models: OpenAI, or any server that speaks its API, up to the version."""
    openai_api_key: SecretStr | None = None
    """The key of that server."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("actors", "queues", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("lease", "heartbeat", "drain", "retention", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        if not isinstance(value, str | int | float):
            return value
        seconds = float(value)
        # Python's clock knows no longer time, and neither infinity nor "no number".
        if not 0 <= seconds <= MAX_DURATION.total_seconds():
            raise ValueError(f"give seconds from 0 to {MAX_DURATION.total_seconds():.0f}, such as 30")
        return timedelta(seconds=seconds)


def load_settings(**overrides: object) -> WorkerSettings:
    """Read the settings; *overrides* from the command line win.

    Raises:
        WorkerSettingsError: A setting is wrong, or an ``APPWORKER_`` or ``APP_MONGO_`` variable is unknown.
    """
    try:
        check_variables(WorkerSettings.model_fields, prefix=PREFIX)
        settings = WorkerSettings(**overrides)  # type: ignore[arg-type]  # checked by the model
    except InvalidDataError as exc:
        raise WorkerSettingsError(str(exc)) from exc
    except (ValidationError, ValueError) as exc:
        raise WorkerSettingsError(f"the settings do not fit: {_problems(exc)}") from exc
    if settings.heartbeat * 3 > settings.lease:
        raise WorkerSettingsError(
            f"APPWORKER_LEASE ({settings.lease.total_seconds():g} s) must be at least three times "
            f"APPWORKER_HEARTBEAT ({settings.heartbeat.total_seconds():g} s), so that one lost renewal costs nothing"
        )
    if (settings.health_port or 0) + settings.processes - 1 > MAX_PORT:
        raise WorkerSettingsError(
            f"APPWORKER_HEALTH_PORT ({settings.health_port}) must leave a port for each of the {settings.processes} "
            f"processes: process N serves at port + N, and {MAX_PORT} is the last"
        )
    return settings


def _problems(exc: ValueError) -> str:
    if not isinstance(exc, ValidationError):
        return str(exc)
    return "; ".join(f"{_variable(error['loc'])}: {error['msg']}" for error in exc.errors())


def _variable(place: tuple[int | str, ...]) -> str:
    """Return the variable of the setting at *place*; those that hosts share are named by it already."""
    name, *rest = map(str, place)
    whole = name if name.startswith("APP_") else f"{PREFIX}{name.upper()}"
    return ".".join([whole, *rest])
