"""The screens: they read run folders, leave orders there, and never ask the trainer."""
