"""Reports of attention heads: data, files, figures, pages and publication."""
