"""Modules of flow: work for each of many items, child runs, time, and messages."""
