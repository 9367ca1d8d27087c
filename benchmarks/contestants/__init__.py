"""Contestants of the fidelity benchmark: ways to sample with a given number of model calls."""
