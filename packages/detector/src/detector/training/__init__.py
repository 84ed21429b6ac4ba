"""Compressed crops to weights: a loop that can be killed at any step and resumes with identical results.

`trainer` is the training loop, `engine` the parts of a step, `schedule` the functions of the step; `distributed` and
`signals` are no-ops when unused; `checkpoint` saves and restores the state; `thresholds` chooses the decision
thresholds; `card` writes the model card.
"""
