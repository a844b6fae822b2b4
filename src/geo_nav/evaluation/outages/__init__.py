"""Fusion on simulated journeys: outages, cost, endurance, faults."""
