"""The commands: each reads its flags, calls the core, and prints."""
