"""Measures Adieu beside the least that the same work costs, with one command."""
