"""Where images come from: the course's files, the official archive, or the demo set."""
