"""Repositories: the public doors, one class in each file; their parts are in rooms named after their subjects."""
