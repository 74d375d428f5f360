"""Parts of UserRepository: access keys, sessions, identity."""
