"""Compressed crops to weights: a loop that can be killed at any step and goes on as if it had not been.

`trainer` tells the story of a run; `engine` holds one step of it and prediction; `schedule` what depends on the step
alone; `precision`, `distributed` and `signals` are objects that do nothing when unused; `checkpoint` keeps what was
done.
"""
