"""Modules that let workers do any task."""
