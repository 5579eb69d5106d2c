"""What fits where: quantities, model facts, GPU classes, time and memory budgets."""
