"""Embeddings, a file each: faces of one person as vectors that point the same way.

They are biometric data. Nothing here is imported unless a run asks for persons; see docs/persons.md.
"""
