"""API hosts: enqueue tasks, read them, and stream what the database says of them."""

from __future__ import annotations

from appserver._version import __version__
from appserver.api.app import create_app
from appserver.settings import ServerSettings

__all__ = ["ServerSettings", "__version__", "create_app"]
