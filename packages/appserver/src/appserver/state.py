"""What the application holds while it runs, typed."""

from __future__ import annotations

from dataclasses import dataclass

from appdb import ChangeFeed, ContentRepository, Database, RegistryRepository, TaskQueue, UserRepository
from appserver.accounts.guests import Guests
from appserver.settings import Settings
from appserver.streams.hub import TaskStreams


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """One of each, shared by all requests."""

    settings: Settings
    database: Database
    feed: ChangeFeed
    queue: TaskQueue
    contents: ContentRepository
    registry: RegistryRepository
    guests: Guests
    users: UserRepository
    streams: TaskStreams


def build_state(settings: Settings, database: Database) -> AppState:
    """Return the state over an open *database*."""
    feed = ChangeFeed(database, events=True)
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
        streams=TaskStreams(queue, feed, per_user=settings.streams_per_user),
    )
