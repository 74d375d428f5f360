"""Providers: what actors call to make content. The local ones need no network, no key and no weights, and are no AI."""
