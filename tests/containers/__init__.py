"""The compose file and the image as they are, on a container engine: these tests fail without one, and never skip."""
