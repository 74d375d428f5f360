"""Parts of ContentRepository and FileRepository: generations, items, files, stored bytes, their sweep."""
