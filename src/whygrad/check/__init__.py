"""What people write about a run, checked against it: formulas, and numbers in prose."""
