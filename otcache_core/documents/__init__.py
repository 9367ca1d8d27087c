"""The documents that people share, schedules and anchors, and the reading of untrusted JSON."""
