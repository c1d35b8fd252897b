"""All queries of account."""
