"""From videos to packed face crops. Nothing here imports torch.

`layout` finds the clips of a FaceForensics++ tree, `video` decodes them, `detection` and `alignment` turn frames into
crops, `faces` and `compress` are the stages, `shards` and `index` store the crops, and `deepfakebench` reads and writes
DeepfakeBench's JSON files.
"""
