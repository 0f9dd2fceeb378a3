"""What the report says: verdicts, what else could explain them, and the rows of tables."""
