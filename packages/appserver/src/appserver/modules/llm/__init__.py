"""Modules that let language models write."""
