"""One attempt of one task, from claim to outcome: its events, its writes, its context."""
