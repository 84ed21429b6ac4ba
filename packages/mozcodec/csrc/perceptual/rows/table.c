/* The row functions, compiled for one processor. MZC_ROWS and MZC_ROWS_NAME name the result. */
#include "../numbers.h"
#include "../rows.h"

/* Before loops whose steps do not depend on each other, whatever their pointers look like. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

#include "compare.c"
#include "colour.c"
#include "dct.c"
#include "planes.c"

const mzc_row_functions MZC_ROWS = {
  MZC_ROWS_NAME, opsin, opsin_adjoint, blur_across, blur_down, blur_down_recursively, products, compare,
  compare_adjoint, gather_adjoint, halve, to_linear, from_linear, to_ycc, correct_luma, to_rgb, forward_dct, inverse_dct, distortion,
  spread, add_means, upsample, to_bytes
};
