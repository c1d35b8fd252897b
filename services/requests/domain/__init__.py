"""The rules of requests, pure."""
