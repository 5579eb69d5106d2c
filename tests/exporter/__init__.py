"""The program that writes the results of evaluations as metrics."""
