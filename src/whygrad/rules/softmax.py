"""Rules: softmax."""
