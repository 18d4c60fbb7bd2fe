"""Pure functions on parameter pytrees: cells, attention, encoder, decoder, model."""
