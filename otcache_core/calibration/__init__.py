"""Stages 1 and 2 in order, and all that takes model calls."""
