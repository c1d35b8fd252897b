"""Requests: what a person asks for is followed to its end, and proven. Feedback, too."""
