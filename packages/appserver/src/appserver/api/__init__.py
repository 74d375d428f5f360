"""The JSON API: thin routes over appdb."""
