"""Modules that ask other services."""
