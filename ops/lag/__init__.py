"""How far behind its readers are: what the broker says of it, what that means in a word, and how it is shown."""
