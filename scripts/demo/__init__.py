"""The pack's main job, end to end, in a real ComfyUI."""
