"""Modules that write prompts."""
