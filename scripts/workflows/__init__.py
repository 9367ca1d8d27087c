"""The workflows that ship with the pack, and saved workflows turned into prompts."""
