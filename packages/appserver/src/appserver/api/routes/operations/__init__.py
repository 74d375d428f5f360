"""Routes for operators and their probes."""
