"""Parts of UserRepository: accounts, access keys, sessions, identity."""
