"""Tasks: they are checked and enqueued here, and read as their owners may read them."""
