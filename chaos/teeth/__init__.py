"""Damages Adieu in one place at a time, and sees who finds it: the tests, the simulation, chaos."""
