/* The comparison of scans for every processor of the platform. */
#define MZC_COMPARERS mzc_comparers_baseline
#include "compare.c"
