"""Pure: tensors in, numbers out."""
