"""Queries: filters, updates and pipelines as pure functions, without I/O and without a driver."""
