"""MongoDB servers of the tests: a single one, a replica set, a distant one, and their faults."""
