"""Derived indexes that follow the store's change log: opened, caught up, checked, rebuilt."""
