"""Modules that make media and let a person pick."""
