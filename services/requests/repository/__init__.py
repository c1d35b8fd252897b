"""All queries of requests."""
