"""What the page asks of the pack, and what it is answered."""
