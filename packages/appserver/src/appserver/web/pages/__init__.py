"""Pages: the routes that answer with HTML."""
