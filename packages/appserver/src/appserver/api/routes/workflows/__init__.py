"""Routes of workflows, of their runs, and of the questions that these ask."""
