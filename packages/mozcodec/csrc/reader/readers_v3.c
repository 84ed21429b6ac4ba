/* The entropy decoder for x86-64-v3 (BMI2 shifts). The build compiles only this file with -march=x86-64-v3. */
#if defined(__AVX2__)
#define MZC_READERS mzc_readers_v3
#include "entropy.c"
#endif
