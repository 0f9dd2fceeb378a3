"""The page: its template, its scripts, and the data they show."""
