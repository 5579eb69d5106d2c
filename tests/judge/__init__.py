"""The program that judges a step of a canary."""
