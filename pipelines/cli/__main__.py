"""`python -m pipelines.cli` is `facelog`."""

from pipelines.cli.main import main

main()
