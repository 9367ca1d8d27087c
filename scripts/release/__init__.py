"""What is published, tried as a newcomer has it."""
