"""What the person at the keyboard can understand and mend."""


class UserError(Exception):
    """Shown as its message alone, without a trace."""
