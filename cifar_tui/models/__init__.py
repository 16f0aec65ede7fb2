"""The networks a run can train, and files with their weights."""
