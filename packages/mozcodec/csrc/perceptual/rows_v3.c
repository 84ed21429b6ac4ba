/* The row functions for x86-64-v3 (the build adds -march=x86-64-v3 for this file alone). */
#if defined(__AVX2__)
#define MZC_ROWS mzc_rows_v3
#define MZC_ROWS_NAME "v3"
#include "rows/table.c"
#else
typedef int mzc_no_rows_v3;
#endif
