/* The comparison of scans for x86-64-v3. The build compiles only this file with -march=x86-64-v3. */
#if defined(__AVX2__)
#define MZC_COMPARERS mzc_comparers_v3
#include "compare.c"
#endif
