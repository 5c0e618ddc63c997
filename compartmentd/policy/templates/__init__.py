"""Room templates as automata: what they match, which overlap, and how a room finds its template."""
