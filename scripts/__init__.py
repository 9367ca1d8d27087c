"""Set-up helpers for development: the host to test against, its server, the metric's weights."""
