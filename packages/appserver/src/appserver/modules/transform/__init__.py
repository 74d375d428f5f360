"""Modules that make values of values."""
