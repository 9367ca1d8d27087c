"""A ComfyUI to work with: found or fetched, in this process or as a server of its own."""
