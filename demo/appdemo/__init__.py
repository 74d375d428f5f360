"""The demo: its hosts, its folder, and the story that checks it."""
