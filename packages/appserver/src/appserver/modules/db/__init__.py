"""Modules that read the database, by queries that the installation has named."""
