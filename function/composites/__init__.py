"""A file for each kind of claim, and the registry by which every front door finds them."""
