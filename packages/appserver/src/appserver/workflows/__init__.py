"""The workflows that are shipped, as JSON files."""
