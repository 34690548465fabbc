"""One question, one file, one streaming pass over the corpus."""
