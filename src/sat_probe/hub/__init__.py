"""Pushing to the Hugging Face Hub: commits, errors, cards."""
