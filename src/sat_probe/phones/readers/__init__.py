"""Alignment formats."""
