"""Runs of workflows under test: repositories, events, a model in memory, and checks; for appdb's own tests."""
