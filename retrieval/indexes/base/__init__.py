"""What an index is to the others (following), what it is to a search (leg, frequencies), and how its files are written
(atomic).

Imports the store and the filters; no index.

Door: atomic, following, frequencies, leg.
Imports: retrieval.filters, retrieval.store.base.
"""
