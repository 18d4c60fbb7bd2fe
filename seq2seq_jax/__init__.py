"""Recurrent sequence-to-sequence models with attention, as pure JAX functions."""

__version__ = "0.1.0"
