"""What a sampling run needs: velocities at skipped steps, and a schedule fitted to the run."""
