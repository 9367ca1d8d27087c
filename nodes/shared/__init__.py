"""What all node families share: socket types, and how a node says something on itself."""
