"""Actors: functions with a name and a typed payload, which a worker runs for tasks."""
