"""Studies: arms that are trained several times, and what holds over their seeds."""
