"""A worker process: announce its actors, claim tasks, run them, drain."""
