"""Persons across an archive: who appears where, what users decided, search by a picture, and forgetting."""
