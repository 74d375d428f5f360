"""The ``appdb`` command under test, and a stand-in for a worker; for appdb's own tests."""
