"""Names of collections and their indexes, as data."""
