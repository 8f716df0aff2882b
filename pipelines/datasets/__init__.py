"""`prepare` and `evaluate`: data sets, processed by the steps of the pipeline."""
