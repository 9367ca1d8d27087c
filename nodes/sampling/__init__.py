"""The only rooms that touch ComfyUI's sampling: wrappers, runs, and the rule of each sampler."""
