/* The reader's hot room for x86-64-v3 (BMI2's shifts; the build adds -march=x86-64-v3 for this file alone). */
#if defined(__AVX2__)
#define MZC_READERS mzc_readers_v3
#include "hot.c"
#endif
