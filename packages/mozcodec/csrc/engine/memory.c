/* The engine's memory: grows as images need it, is kept for the next image, and is freed after a large one. */
#include "context.h"

enum { KEPT_BYTES = 16 << 20 };

void *mzc_grown(j_compress_ptr cinfo, void *array, size_t *capacity, size_t count, size_t size)
{
  if (count > *capacity) {
    size_t ample = *capacity + *capacity / 4;

    if (count < ample)
      count = ample;
    array = count > SIZE_MAX / size ? NULL : realloc(array, count * size);
    if (array == NULL)
      ERREXIT1(cinfo, JERR_OUT_OF_MEMORY, 20);
    *capacity = count;
  }
  return array;
}

void mzc_reserve_values(mzc_engine *e, mzc_component *k, size_t count)
{
  mzc_sparse *level = &k->level[0];

  MZC_RESERVE(e->cinfo, level->value, level->value_capacity, count);
  MZC_RESERVE(e->cinfo, level->symbol, level->symbol_capacity, count);
}

mzc_engine *mzc_engine_new(int cpu)
{
  mzc_engine *engine = calloc(1, sizeof *engine);

  if (engine)
    engine->kernels = mzc_kernels_of(cpu);
  return engine;
}

int mzc_engine_uses_v3(const mzc_engine *engine)
{
  return engine != NULL && engine->kernels == mzc_kernels_of(MZC_CPU_V3);
}

void mzc_engine_leave_unproven(mzc_engine *engine, int unproven)
{
  engine->unproven = unproven;
}

int mzc_engine_leaves_unproven(const mzc_engine *engine)
{
  return engine != NULL && engine->unproven;
}

typedef void *(*visitor)(void *array, size_t *capacity, size_t size, size_t *total);

static void visit_bytes(mzc_bytes *b, visitor visit, size_t *total)
{
  b->data = visit(b->data, &b->capacity, 1, total);
}

static void visit_component(mzc_component *k, visitor visit, size_t *total)
{
  k->block = visit(k->block, &k->block_capacity, sizeof *k->block, total);
  k->token = visit(k->token, &k->token_capacity, sizeof *k->token, total);
  k->dc = visit(k->dc, &k->dc_capacity, sizeof *k->dc, total);
  for (int l = 0; l < MZC_NUM_LEVELS; l++) {
    mzc_sparse *p = &k->level[l];
    p->block = visit(p->block, &p->block_capacity, sizeof *p->block, total);
    p->symbol = visit(p->symbol, &p->symbol_capacity, sizeof *p->symbol, total);
    p->value = visit(p->value, &p->value_capacity, sizeof *p->value, total);
  }
}

static void visit_candidates(mzc_candidates *d, visitor visit, size_t *total)
{
  for (int half = 0; half < 2; half++) {
    for (int l = 0; l < MZC_NUM_LEVELS; l++)
      visit_bytes(&d->coarse[l][half].bytes, visit, total);
    for (int s = 0; s < MZC_NUM_SPLITS; s++)
      visit_bytes(&d->split[s][half].bytes, visit, total);
  }
  for (int l = 0; l < MZC_NUM_LEVELS - 1; l++)
    visit_bytes(&d->refine[l].bytes, visit, total);
  visit_bytes(&d->whole.bytes, visit, total);
}

/* Calls visit for every array, and stores the array that it returns. */
static size_t visit_arrays(mzc_engine *e, visitor visit)
{
  size_t total = 0;

  for (int c = 0; c < MZC_MAX_COMPONENTS; c++) {
    visit_component(&e->component[c], visit, &total);
    visit_candidates(&e->candidates[c], visit, &total);
  }
  for (int i = 0; i < MZC_MAX_DC_SCANS; i++)
    visit_bytes(&e->dc[i], visit, &total);
  for (int i = 0; i < MZC_MAX_SCANS; i++)
    visit_bytes(&e->script[i].bytes, visit, &total);
  e->band_statistics = visit(e->band_statistics, &e->band_statistics_capacity, sizeof *e->band_statistics, &total);
  e->raw = visit(e->raw, &e->raw_capacity, sizeof *e->raw, &total);
  e->quantized = visit(e->quantized, &e->quantized_capacity, sizeof *e->quantized, &total);
  e->came_from = visit(e->came_from, &e->came_from_capacity, sizeof *e->came_from, &total);
  e->dc_candidate = visit(e->dc_candidate, &e->dc_candidate_capacity, sizeof *e->dc_candidate, &total);
  return total;
}

static void *measure(void *array, size_t *capacity, size_t size, size_t *total)
{
  *total += *capacity * size;
  return array;
}

static void *release(void *array, size_t *capacity, size_t size, size_t *total)
{
  (void)size;
  (void)total;
  free(array);
  *capacity = 0;
  return NULL;
}

int mzc_is_large(size_t bytes)
{
  return bytes > KEPT_BYTES / 8;
}

void mzc_release_tokens(mzc_component *k)
{
  size_t total = 0;

  if (mzc_is_large(k->token_capacity * sizeof *k->token)) {
    k->token = release(k->token, &k->token_capacity, sizeof *k->token, &total);
    k->block = release(k->block, &k->block_capacity, sizeof *k->block, &total);
  }
}

static void release_others(mzc_scan_bytes *scan, const mzc_scan_bytes *const *keep, int num)
{
  size_t total = 0;

  for (int i = 0; i < num; i++)
    if (scan == keep[i])
      return;
  if (mzc_is_large(scan->bytes.capacity))
    visit_bytes(&scan->bytes, release, &total);
}

void mzc_release_searched(mzc_engine *e, int component, const mzc_scan_bytes *const *keep, int num)
{
  mzc_component *k = &e->component[component];
  mzc_candidates *d = &e->candidates[component];
  size_t total = 0;

  for (int l = 0; l < MZC_NUM_LEVELS; l++) {
    mzc_sparse *p = &k->level[l];
    if (!mzc_is_large(p->symbol_capacity * sizeof *p->symbol))
      continue;
    p->block = release(p->block, &p->block_capacity, sizeof *p->block, &total);
    p->symbol = release(p->symbol, &p->symbol_capacity, sizeof *p->symbol, &total);
    p->value = release(p->value, &p->value_capacity, sizeof *p->value, &total);
  }
  for (int half = 0; half < 2; half++) {
    for (int l = 0; l < MZC_NUM_LEVELS; l++)
      release_others(&d->coarse[l][half], keep, num);
    for (int s = 0; s < MZC_NUM_SPLITS; s++)
      release_others(&d->split[s][half], keep, num);
  }
  for (int l = 0; l < MZC_NUM_LEVELS - 1; l++)
    release_others(&d->refine[l], keep, num);
  release_others(&d->whole, keep, num);
}

void mzc_component_release(mzc_engine *engine, int component)
{
  size_t total = 0;

  visit_component(&engine->component[component], measure, &total);
  if (total > KEPT_BYTES / MZC_MAX_COMPONENTS)
    visit_component(&engine->component[component], release, &total);
}

void mzc_engine_trim(mzc_engine *engine)
{
  if (visit_arrays(engine, measure) > KEPT_BYTES)
    visit_arrays(engine, release);
}

void mzc_engine_free(mzc_engine *engine)
{
  if (engine) {
    visit_arrays(engine, release);
    free(engine);
  }
}
