"""Remote providers: services that are called over HTTP, each with the keys of its host's owner."""
