"""Requests to servers that others name (a list of URLs, a webhook): never to this machine or its networks, unless these
are allowed by name.

Door: addresses, body, client.
Imports: nothing.
"""
