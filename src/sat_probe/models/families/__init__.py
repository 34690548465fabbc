"""Model families and their differences."""
