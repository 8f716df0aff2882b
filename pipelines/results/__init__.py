"""What an output folder holds, for everybody who reads it."""
