/* Selects the table of kernels for this processor. */
#include <string.h>

#include "engine.h"

extern const mzc_kernels mzc_kernels_baseline;

#if defined(MZC_HAVE_V3)
#include <cpuid.h>

extern const mzc_kernels mzc_kernels_v3;

/* clang's __builtin_cpu_supports does not know it before version 16. */
static int has_lzcnt(void)
{
  unsigned a, b, c, d;

  return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & bit_LZCNT);
}

static int runs_v3(void)
{
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt") && has_lzcnt();
}
#endif

int mzc_engine_cpu(const char *requested)
{
#if defined(MZC_HAVE_V3)
  if (runs_v3() && (!*requested || strcmp(requested, "v3") == 0))
    return MZC_CPU_V3;
#endif
  return !*requested || strcmp(requested, "baseline") == 0 ? MZC_CPU_BASELINE : MZC_CPU_NONE;
}

const mzc_kernels *mzc_kernels_of(int cpu)
{
#if defined(MZC_HAVE_V3)
  if (cpu == MZC_CPU_V3)
    return &mzc_kernels_v3;
#endif
  (void)cpu;
  return &mzc_kernels_baseline;
}
