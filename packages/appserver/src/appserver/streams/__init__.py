"""Streams: the events of logs, live, for many viewers. They know no HTTP."""
