"""Commands beside the server itself; they need no database."""
