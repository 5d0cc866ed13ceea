"""Rules: factories."""
