"""Rules: activations."""
