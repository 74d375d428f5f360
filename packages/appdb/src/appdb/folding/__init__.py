"""Folding: events in, state out. Nothing here asks a database or a clock."""
