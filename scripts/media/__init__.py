"""Pictures taken from the page itself."""
