"""What is composed: one module for each concern, each a function from the plan to manifests."""
