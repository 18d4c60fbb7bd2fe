"""A page of HTML that shows where a model looked."""
