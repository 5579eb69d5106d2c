"""Configuration of programs that call the models: chats, editors, agents, libraries."""
