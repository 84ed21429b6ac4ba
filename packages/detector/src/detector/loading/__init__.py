"""From packed crops to batches: batch composition (`order`), random numbers (`draws`), reading and decoding (`loader`),
and augmentation on the device (`augment`).

Nothing here has a random state. The input of a step is a function of the seed, the step and the crop, so a run can be
resumed at any step, with any number of threads or processes, and get the same batches.
"""
