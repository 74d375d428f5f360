"""The task queue: claims under a lease, a fenced log of events, and one final state."""
