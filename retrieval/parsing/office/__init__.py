"""Text documents, slides and books of office programs: walkers over the XML of which libraries leave much out.

Door: docx, epub, odf, pptx.
Imports: retrieval.parsing.base, retrieval.parsing.web.
"""
