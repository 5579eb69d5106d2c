"""How the engine is scraped, and what wakes a person."""
