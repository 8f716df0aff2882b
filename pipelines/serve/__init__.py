"""`facelog serve`: a local web app to look into an output folder."""
