"""The runner: it reads a run, lets the core decide, and writes what follows in one transaction."""
