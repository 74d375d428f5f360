"""Routes of streams: events as they happen."""
