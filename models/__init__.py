"""Neural models: texts in, arrays or tokens out. Knows no chunks, no HTTP routes, no disk layout.

Ground: base, errors, packages.
Roof: profiles.
"""
