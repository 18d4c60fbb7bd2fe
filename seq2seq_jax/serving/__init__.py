"""A model over HTTP: requests checked, gathered into batches, answered as JSON."""
