"""What is wanted, from claim, settings and what is known of the weights; looks at no cluster."""
