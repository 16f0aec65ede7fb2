"""One run: its settings, events and files, and where its best net goes wrong."""
