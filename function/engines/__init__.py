"""What serves a model in a pod: one room for each engine, behind one seam."""
