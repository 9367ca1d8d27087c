"""Tables and pictures in documentation, written from the records."""
