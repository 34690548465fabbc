"""Publication on the Hugging Face Hub: commits, errors, cards."""
