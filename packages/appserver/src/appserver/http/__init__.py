"""HTTP: the parts that every face needs, such as callers, problems, media and Server-Sent Events."""
