"""API hosts: they enqueue tasks, read them, and stream their events from the database."""

from __future__ import annotations

from appserver._version import __version__
from appserver.api.app import create_app
from appserver.settings import ServerSettings

__all__ = ["ServerSettings", "__version__", "create_app"]
