"""The driver of chaos itself: a small run, and what it must not overlook."""
