"""Tasks: checking and enqueueing them, and reading how they stand."""
