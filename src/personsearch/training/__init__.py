"""The training stage: objective, optimiser, schedule, distribution, checkpoints."""
