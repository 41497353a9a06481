"""What scripts/verify_streaming.py and scripts/smoke_test.py look at."""
