"""One detector per file: what it looks for, its evidence, its remedy."""
