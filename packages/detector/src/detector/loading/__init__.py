"""From packed crops to batches: which crops (`order`), how they are drawn upon (`draws`), read and decoded (`loader`),
and varied on the device (`augment`).

Nothing here keeps a random state. What a step sees is a function of the seed, the step and the crop, so that a run can
be taken up at any step, with any number of threads or processes, and see the same batches.
"""
