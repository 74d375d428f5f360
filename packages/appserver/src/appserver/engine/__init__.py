"""The workflow engine: a functional core that decides, and a runner that reads and writes."""
