"""Workflows for tests: small modules and definitions of them."""
