"""How every method of every repository is called: one module per repository, found by ``scenarios.table``."""
