"""Modules that check, write, store and read."""
