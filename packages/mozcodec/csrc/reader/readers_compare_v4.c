/* The comparison of scans for x86-64-v4 with VBMI2. The build compiles only this file with these. */
#if defined(__AVX512VBMI2__)
#define MZC_COMPARERS mzc_comparers_v4
#include "compare.c"
#endif
