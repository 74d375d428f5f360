"""The functional core: from a definition and a state to what follows; pure."""
