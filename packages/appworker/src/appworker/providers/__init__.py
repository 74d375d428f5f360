"""Providers: what actors call to make content. The local ones need no network, key or weights: no AI."""
