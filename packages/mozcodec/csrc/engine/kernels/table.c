/* The kernels compiled for one processor. MZC_KERNELS and MZC_KERNELS_NAME name the resulting table. */
#include "../kernels.h"

#include "bits.h"
#include "huffman.c"
#include "statistics.c"
#include "bands.c"
#include "tokens.c"
#include "trellis.c"
#include "sparse.c"
#include "emission.c"
#include "sequential.c"
#include "onepass.c"
#include "interleave.c"

const mzc_kernels MZC_KERNELS = {
  MZC_KERNELS_NAME, read_row, set_rates, choose_dc, choose_ac, round_dc, round_row, gather_row, coarser, flush_statistics, count_level,
  count_scan, count_bands, fold, build_huffman, write_scan, write_dc, count_dc, count_sequential, write_sequential, write_mcus, stuff,
  interleave
};
