"""The state of the application while it runs: one of each, typed."""

from __future__ import annotations

from dataclasses import dataclass

from appdb import ChangeFeed, ContentRepository, Database, RegistryRepository, TaskQueue, UserRepository
from appdb.host import HostMaintenance
from appserver.accounts.guests import Guests
from appserver.engine.runner.loop import EngineHost, EngineLoop
from appserver.engine.runner.stores import EngineStores
from appserver.engine.service import EngineService
from appserver.modules.builtin import host_registry
from appserver.modules.registry import ModuleRegistry
from appserver.settings import ServerSettings
from appserver.streams.frames import EncodeEvent
from appserver.streams.run_frames import RunEncoder
from appserver.streams.run_reader import RunSources
from appserver.streams.run_streams import RunStreams
from appserver.streams.task_streams import TaskStreams
from appserver.tasks.uploads import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """The services and repositories that all requests share."""

    settings: ServerSettings
    database: Database
    feed: ChangeFeed
    queue: TaskQueue
    contents: ContentRepository
    uploads: Uploads
    registry: RegistryRepository
    guests: Guests
    users: UserRepository
    streams: TaskStreams
    run_streams: RunStreams
    stores: EngineStores
    modules: ModuleRegistry
    engine: EngineService


def build_state(settings: ServerSettings, database: Database, encode: EncodeEvent, run_encoder: RunEncoder) -> AppState:
    """Return the state over an open *database*.

    Args:
        settings: The host's settings.
        database: The open database.
        encode: Gives events of tasks the form in which streams carry them.
        run_encoder: Gives events of runs that form.
    """
    feed = ChangeFeed(database, events=True, runs=True)
    queue = TaskQueue(database)
    users = UserRepository(database)
    stores = EngineStores.of(database, queue)
    modules = host_registry()
    sources = RunSources(states=stores.states, lists=stores.lists, events=stores.events, queue=queue, feed=feed)
    return AppState(
        settings=settings,
        database=database,
        feed=feed,
        queue=queue,
        contents=ContentRepository(database),
        uploads=Uploads(database),
        registry=RegistryRepository(database),
        guests=Guests(
            users,
            per_hour=settings.guests_per_hour if settings.guests else 0,
            per_day=settings.guests_per_day,
        ),
        users=users,
        streams=TaskStreams(queue, feed, encode=encode, per_user=settings.streams_per_user),
        run_streams=RunStreams(sources, encode=run_encoder),
        stores=stores,
        modules=modules,
        engine=EngineService(stores, modules),
    )


def build_engine_host(state: AppState) -> EngineHost:
    """Return what this host does for the engine while it runs; to be run only where it has slots for it."""
    # A queue of its own: it keeps a picture of who waits, of which the routes need nothing.
    queue = TaskQueue(state.database)
    engine, slots = state.engine, state.settings.engine_slots
    loop = EngineLoop(engine.advancer, engine.looks, queue, state.feed, state.modules, slots)
    return EngineHost(loop, HostMaintenance(state.database, queue, state.feed, None), state.feed)
