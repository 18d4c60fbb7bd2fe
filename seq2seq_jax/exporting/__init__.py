"""A model as programs, weights and tokenisers that run without this package."""
