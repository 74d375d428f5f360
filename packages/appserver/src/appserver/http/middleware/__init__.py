"""Middleware: the parts of every request and answer that no route knows of.

Each is plain ASGI, since a stream must pass through unbuffered.
"""
