"""Every setting of the server.

Door: settings.
Imports: nothing.
"""
