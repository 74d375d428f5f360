"""Stored documents of the tests: examples of every collection, written and damaged ones; for appdb's own tests."""
