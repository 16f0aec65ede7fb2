"""The fault injector behind `make faults`: does the worst to real runs and counts what is lost."""
