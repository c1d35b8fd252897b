"""The whole system in processes of its own, broken on purpose."""
