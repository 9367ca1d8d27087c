"""Makes the anchors that ship with the pack."""
