"""Migrations under test: a trial migration, and documents and sources of earlier releases; for appdb's own tests."""
