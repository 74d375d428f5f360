"""The task queue under test, in memory and in MongoDB, and load on it."""
