"""Local servers that follow the public APIs of remote providers."""
