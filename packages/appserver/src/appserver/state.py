"""The state of the application while it runs: one of each, typed."""

from __future__ import annotations

from dataclasses import dataclass

from appdb import ChangeFeed, ContentRepository, Database, RegistryRepository, TaskQueue, UserRepository
from appserver.accounts.guests import Guests
from appserver.settings import ServerSettings
from appserver.streams.frames import EncodeEvent
from appserver.streams.task_streams import TaskStreams


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """The services and repositories that all requests share."""

    settings: ServerSettings
    database: Database
    feed: ChangeFeed
    queue: TaskQueue
    contents: ContentRepository
    registry: RegistryRepository
    guests: Guests
    users: UserRepository
    streams: TaskStreams


def build_state(settings: ServerSettings, database: Database, encode: EncodeEvent) -> AppState:
    """Return the state over an open *database*; *encode* gives events the form in which streams carry them."""
    feed = ChangeFeed(database, events=True, runs=True)
    queue = TaskQueue(database)
    users = UserRepository(database)
    return AppState(
        settings=settings,
        database=database,
        feed=feed,
        queue=queue,
        contents=ContentRepository(database),
        registry=RegistryRepository(database),
        guests=Guests(
            users,
            per_hour=settings.guests_per_hour if settings.guests else 0,
            per_day=settings.guests_per_day,
        ),
        users=users,
        streams=TaskStreams(queue, feed, encode=encode, per_user=settings.streams_per_user),
    )
