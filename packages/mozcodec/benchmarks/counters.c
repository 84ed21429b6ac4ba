/* Turns Valgrind's callgrind on and off from goals.py; does nothing outside Valgrind. */
#include <valgrind/callgrind.h>

void counters_begin(void)
{
  CALLGRIND_START_INSTRUMENTATION;
}

/* Forgets what was counted, the simulated caches stay filled. */
void counters_forget(void)
{
  CALLGRIND_ZERO_STATS;
}

/* Writes what was counted to a file of its own, which holds the name. */
void counters_end(const char *name)
{
  CALLGRIND_DUMP_STATS_AT(name);
  CALLGRIND_STOP_INSTRUMENTATION;
}
