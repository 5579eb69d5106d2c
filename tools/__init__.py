"""The programs of the end-to-end tests: one pinned Go module for each group, and their build."""
