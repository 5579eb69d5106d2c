"""What holds now: each a value that one function makes from the plan and the observed state."""
