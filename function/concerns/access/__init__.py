"""Who may reach the pods, and what they may reach: nobody and nothing unless it is listed."""
