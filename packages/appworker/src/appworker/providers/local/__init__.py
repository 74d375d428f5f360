"""Providers that need no network, key or weights."""
