"""A module for workflows of appserver."""
