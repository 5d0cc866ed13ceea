"""Rules: casts."""
