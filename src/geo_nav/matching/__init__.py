"""Image pair → matches; one protocol, a file a matcher."""
