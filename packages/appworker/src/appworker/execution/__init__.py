"""Where actors run: on a shared event loop, in a thread, or in a process; leases are kept outside of all of them."""
