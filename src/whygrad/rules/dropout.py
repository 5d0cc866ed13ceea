"""Rules: dropout."""
