"""What people live through, on the whole system."""
