"""The real gateway in front of a claim's pods: its controllers, its proxy, and what they need."""
