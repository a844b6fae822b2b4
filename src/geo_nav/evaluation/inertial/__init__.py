"""Fusion on real inertial logs: readers, protocol, estimators to compare with, scores."""
