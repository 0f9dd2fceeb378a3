"""Out: what stands in which table, as text, CSV, Markdown or LaTeX."""
