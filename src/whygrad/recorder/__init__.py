"""Watching a program train: steps, hooks, names, memory policy, the script runner."""
