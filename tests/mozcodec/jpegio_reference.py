"""Digests of what jpegio reads, for test_jpegio.py; run by a Python that has jpegio (0.2.8, Python 3.10, NumPy 1).

    PYTHON jpegio_reference.py FOLDER > jpegio.csv

The same lines come from mozcodec.jpegio with ``--ours``; FOLDER holds the files that ``test_jpegio.cases`` writes.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np


def digest(jpeg):
    """Return a SHA-256 over all attributes but the Huffman symbols' zeros."""
    found = hashlib.sha256()
    for arrays in (jpeg.coef_arrays, jpeg.quant_tables):
        for array in arrays:
            found.update(repr((array.shape, str(array.dtype))).encode() + np.ascontiguousarray(array).tobytes())
    for tables in (jpeg.ac_huff_tables, jpeg.dc_huff_tables):
        for table in tables:
            found.update(table["counts"].astype(np.int32).tobytes() + table["symbols"].astype(np.int32).tobytes())
    names = (
        "component_id h_samp_factor v_samp_factor quant_tbl_no ac_tbl_no dc_tbl_no downsampled_height "
        "downsampled_width height_in_blocks width_in_blocks"
    )
    for info in jpeg.comp_info:
        found.update(repr([int(getattr(info, name)) for name in names.split()]).encode())
    names = (
        "image_width image_height image_components image_color_space jpeg_color_space num_components "
        "progressive_mode optimize_coding"
    )
    found.update(repr([int(getattr(jpeg, name)) for name in names.split()]).encode())
    shapes = [tuple(jpeg.get_coef_block_array_shape(c)) for c in range(jpeg.num_components)]
    found.update(repr((shapes, [bytes(marker) for marker in jpeg.markers])).encode())
    found.update(repr((int(jpeg.count_nnz_ac()), bool(jpeg.are_channel_sizes_same()))).encode())
    return found.hexdigest()


if __name__ == "__main__":
    if "--ours" in sys.argv:
        from mozcodec import jpegio
    else:
        import jpegio
    print("file,sha256")
    for path in sorted(Path(sys.argv[1]).iterdir()):
        print(f"{path.name},{digest(jpegio.read(str(path)))}")
