"""What an engine says of itself: its own parser, run beside this project."""
