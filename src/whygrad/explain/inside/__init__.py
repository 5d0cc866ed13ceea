"""Ops that have no rule of their own, decomposed into ops that have: run again as those, checked, and explained by them."""
