"""Executors: run the code of actors on a shared event loop, in a thread or in a process."""
