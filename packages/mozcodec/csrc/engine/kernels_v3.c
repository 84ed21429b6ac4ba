/* The hot rooms for x86-64-v3 (AVX2, BMI; the build adds -march=x86-64-v3 for this file alone). */
#if defined(__AVX2__)
#define MZC_KERNELS mzc_kernels_v3
#define MZC_KERNELS_NAME "v3"
#include "hot/table.c"
#endif
