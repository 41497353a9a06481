"""What is kept of answers. Knows no HTTP.

Door: database, responses, turns.
Imports: nothing.
"""
