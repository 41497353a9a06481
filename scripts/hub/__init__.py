"""The model hub, as scripts/download_models.py asks it and keeps what it gives."""
