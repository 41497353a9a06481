"""Every setting of the server.

Door: sections, settings.
Imports: retrieval.privacy, server.outgoing.
"""
