"""The cost of a run of the pipeline, predicted: `cost` has the arithmetic, `calibrate` the measurement."""
