"""Anchors and weights on disk, and anchors that a workflow carries."""
