"""The names of the collections and of the GridFS bucket."""

from __future__ import annotations

TASKS = "tasks"
TASK_EVENTS = "task_events"
TASK_STEPS = "task_steps"
QUEUES = "queues"
LIMITS = "limits"
GENERATIONS = "content_generation_metadata"
CONTENTS = "generated_content"
MEDIA_BUCKET = "media"
ACTORS = "actors"
WORKERS = "workers"
USERS = "users"
ACCESS_KEYS = "access_keys"
CONFIG = "config"
MIGRATIONS = "migrations"
SCHEDULES = "schedules"
