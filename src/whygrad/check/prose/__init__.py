"""Prose about a run: what it says in numbers, names and sentences, traced to what was recorded, written in code, or printed."""
