"""Sampling runs made to be timed and weighed."""
