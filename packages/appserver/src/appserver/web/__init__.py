"""Pages, one of the faces: rendered on the host, kept live by a few plain scripts, with nothing from other sites."""
