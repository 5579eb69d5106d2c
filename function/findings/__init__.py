"""What is wrong with a claim, or doubtful: rules with their pages, and what they find."""
