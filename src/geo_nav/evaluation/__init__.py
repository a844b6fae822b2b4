"""Trajectories and fixes against truth: metrics, plots, report."""
