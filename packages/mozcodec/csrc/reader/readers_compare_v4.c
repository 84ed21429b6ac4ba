/* The comparison of scans for processors with AVX-512. The build compiles only this file for them. */
#include "compare.h"
#if defined(MZC_WITH_AVX512)
#define MZC_COMPARERS mzc_comparers_v4
#include "compare.c"
#endif
