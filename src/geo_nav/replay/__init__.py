"""Recorded bags through the classes of the nodes, offline."""
