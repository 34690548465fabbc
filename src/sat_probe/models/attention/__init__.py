"""Attention, computed block by block and observed."""
