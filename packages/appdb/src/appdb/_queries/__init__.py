"""Filters, updates and pipelines as pure functions: no I/O, and no driver."""
