"""The dispatch mode that watches PyTorch, and the conversion of what it saw into inert data.

Used by `record` (to watch a user's program) and by `explain` (to watch a piece of it run again).
"""
