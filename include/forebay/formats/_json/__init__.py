"""How JSON lines are read."""
