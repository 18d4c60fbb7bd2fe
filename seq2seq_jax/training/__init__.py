"""Training: the optimiser, the step, devices, checkpoints, reports and the loop."""
