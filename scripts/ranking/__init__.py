"""What scripts/fit_ranker.py fits, and how."""
