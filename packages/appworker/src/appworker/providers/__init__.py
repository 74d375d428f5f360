"""Providers: make content for actors. They know neither actors nor attempts."""
