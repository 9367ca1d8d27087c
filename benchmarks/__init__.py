"""Measurements behind what the README claims; each writes a record with versions and command."""
