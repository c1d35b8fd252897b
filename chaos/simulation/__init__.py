"""Adieu without engines: the real services over a log and a store in memory, driven by a seed."""
