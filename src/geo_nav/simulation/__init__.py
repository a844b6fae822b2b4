"""A world, a flight and its sensors, with truth."""
