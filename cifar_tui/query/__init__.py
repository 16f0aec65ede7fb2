"""What can be asked of many runs: fields, filters, groups, curves."""
