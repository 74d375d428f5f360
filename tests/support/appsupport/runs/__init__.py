"""Runs of workflows under test: repositories, events, a model in memory, and checks."""
