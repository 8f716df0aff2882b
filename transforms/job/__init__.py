"""Steps and files that only a whole-archive Beam job needs, so that it can run without the client that started it."""
