"""The executors inside the worker's process: a shared event loop, and threads."""
