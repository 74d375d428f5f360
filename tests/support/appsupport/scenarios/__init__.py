"""Scenarios: a call of every public method of every repository, a module for each; for appdb's own tests."""
