"""The command line: a file a command. What a command does is in the function that it calls."""
