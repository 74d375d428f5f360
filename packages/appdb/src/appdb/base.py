"""The base of every repository: its connection, and its retry timeout."""

from __future__ import annotations

from datetime import timedelta

from appdb.connection import Connection


class BaseRepository:
    """
    The base of the public repositories, each of one subject, over a shared ``Connection``.

    While no primary answers, a method is retried for the database's retry timeout, unless the guarantees list it as not
    retried: what a loop asks again anyway, or what a repetition would double. In a caller's transaction none is.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def retry_timeout(self) -> timedelta:
        """How long calls that are safe to repeat are retried after they found no primary."""
        return self._connection.retry_timeout
