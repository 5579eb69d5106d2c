"""The scaling triggers, driven by KEDA's and the HPA's own arithmetic."""
