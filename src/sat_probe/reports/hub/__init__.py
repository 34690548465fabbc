"""Reports on the Hugging Face Hub."""
