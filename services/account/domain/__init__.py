"""Rules of account: pure."""
