"""Requests to servers that others name (a list of URLs, a webhook): never to this machine or its networks, unless these
are allowed by name.

Door: nothing.
Imports: nothing.
"""
