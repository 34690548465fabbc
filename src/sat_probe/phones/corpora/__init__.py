"""Corpora: folders, Hub datasets and known layouts."""
