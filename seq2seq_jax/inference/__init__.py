"""From parameters to text: search over a step function, and the predictor."""
