"""What every model on torch shares: checkpoints read safely, the device chosen, its memory known.

Door: checkpoint, torch_device.
Imports: nothing.
"""
