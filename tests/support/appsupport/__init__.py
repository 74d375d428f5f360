"""Support of the tests: servers, queues, runs, hosts, faults, stored documents and scenarios."""
