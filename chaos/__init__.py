"""Breaks a whole system on purpose, by a seed, and checks that nothing was lost and nothing stays."""
