"""HTTP: the parts that every face needs, such as callers, problems and ranges."""
