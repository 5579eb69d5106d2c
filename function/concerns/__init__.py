"""A room for each concern of a claim: its objects, its condition, its reasons."""
