"""Whether exactly once can be kept on this cluster: what is asked of it, and what is said."""
