"""The HTTP interface: thin routes over appdb."""
