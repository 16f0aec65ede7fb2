"""Set up and launch a run or a grid."""
