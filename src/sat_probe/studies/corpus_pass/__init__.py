"""The pass over a corpus: decoder process, batches, accumulators, checkpoints, several processes."""
