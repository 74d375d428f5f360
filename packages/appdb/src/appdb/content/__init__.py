"""Parts of ContentRepository and FileRepository: items, stored bytes, their sweep."""
