"""The documents that hosts share through the database: the contract, in one place."""
