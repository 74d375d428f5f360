"""Parts of UserRepository: accounts, access keys, sessions, identity; and of TokenRepository: model usage."""
