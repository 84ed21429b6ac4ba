/* The kernels for every processor of the platform. */
#define MZC_KERNELS mzc_kernels_baseline
#define MZC_KERNELS_NAME "baseline"
#include "kernels/table.c"
