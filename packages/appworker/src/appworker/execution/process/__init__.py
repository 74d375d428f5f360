"""The process executor: both sides of an actor's process, and the pipe between them."""
