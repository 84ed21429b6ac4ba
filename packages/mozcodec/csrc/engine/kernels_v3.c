/* The kernels for x86-64-v3 (AVX2, BMI2). The build compiles only this file with -march=x86-64-v3. */
#if defined(__AVX2__)
#define MZC_KERNELS mzc_kernels_v3
#define MZC_KERNELS_NAME "v3"
#include "kernels/table.c"
#endif
