"""The executor with a process for each actor: both sides of it, and the pipe between them."""
