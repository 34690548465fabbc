"""Model families: a table with one row for each kind of speech encoder, and the functions that its rows name."""
