"""From text to batches: sources, tokenisers, corpora of ids, plans of batches."""
