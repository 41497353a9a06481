"""PDF to a document with pages, boxes and headings: PDFium's characters, put in reading order here.

PDFium aborts the process on some hostile files: call every function of this folder that takes a PDF in a child process.

Door: parser, rendering.
Imports: retrieval.parsing.base.
"""
