"""Contestants of the fidelity benchmark that are not this pack's own."""
