"""The operating system's side of a worker host: processes, signals, forks and memory."""
