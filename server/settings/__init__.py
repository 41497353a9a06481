"""Every setting of the server.

Door: settings.
Imports: retrieval.privacy.
"""
