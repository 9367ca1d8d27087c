"""How far an edge of a schedule follows what is known where it begins."""
