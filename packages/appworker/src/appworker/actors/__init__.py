"""Actors: what a worker can do, each a name, a typed payload and one async function."""
