"""Scenarios: a call of every public method of every repository; one module per repository, found by the table."""
