"""The page: rendered here, kept live by a few plain scripts; nothing is built, nothing comes from elsewhere."""
