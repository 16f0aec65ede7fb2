"""Pictures made of characters, the same in commands and screens."""
