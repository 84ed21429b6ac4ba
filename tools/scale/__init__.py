"""How the cost of the pipeline grows: predictions against runs, and a simulator of the executors."""
