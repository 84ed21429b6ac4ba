/* The row functions for every processor. */
#define MZC_ROWS mzc_rows_baseline
#define MZC_ROWS_NAME "baseline"
#include "rows/table.c"
