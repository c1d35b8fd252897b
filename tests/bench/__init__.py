"""What measures, measured."""
