"""A real Envoy in front of the rendered pods, set up as Envoy Gateway sets it up."""
