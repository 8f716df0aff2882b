"""What only a whole-archive Beam job needs, so that it can go on without the client that started it."""
