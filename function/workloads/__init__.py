"""What keeps the pods of a claim: one file for each kind, behind one seam."""
