"""`python -m ops` is the `adieu` command, where nothing is installed."""

from ops.cli import main

main()
