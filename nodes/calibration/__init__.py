"""One calibration inside a workflow: its job, its runner, its display, its place on disk."""
