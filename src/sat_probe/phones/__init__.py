"""Alignments in, labels out: phone sets, alignments and corpora."""
