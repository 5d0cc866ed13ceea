"""Rules: movement."""
