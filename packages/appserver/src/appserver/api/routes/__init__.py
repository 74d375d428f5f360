"""Routes: parse, authorise, call appdb, answer."""
