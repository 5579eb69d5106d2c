"""Another way in before a front door: a proxy with keys, teams and budgets of its own."""
