"""Devices: which belong to whom, and what they report."""
