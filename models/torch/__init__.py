"""What every model on torch shares: checkpoints read safely, the device chosen, its memory known."""
