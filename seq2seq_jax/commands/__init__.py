"""What the command line does, one file a command; each imports jax when it runs."""
