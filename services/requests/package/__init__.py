"""The package that a person gets: a ZIP with all that the owners have sent, to be read by people and by programs."""
