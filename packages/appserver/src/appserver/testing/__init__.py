"""A harness for workflows of your own: no database, a virtual clock, scripted answers, stubbed tasks."""
