"""Tells a person, in their language, what became of a wish; last of all that everything is erased."""
