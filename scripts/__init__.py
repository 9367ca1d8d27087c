"""What development needs: a host to test against, pictures, templates and presets, releases."""
