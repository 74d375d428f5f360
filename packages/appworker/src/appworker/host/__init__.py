"""The operating system's side of a worker host: several processes, signals, forks, memory."""
