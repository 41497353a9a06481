"""Files that hold files: archives, and mail with its attachments. Each file inside is a document of its own.

Door: archive, mail, outlook.
Imports: retrieval.parsing.base.
"""
