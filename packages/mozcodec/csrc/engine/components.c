/* Images that come as coefficients before quantization, component by component. */
#include "context.h"

void mzc_components_begin(mzc_engine *e, j_compress_ptr cinfo, double lambda_numerator, double lambda_offset)
{
  mzc_choose_mode(e, cinfo, 0);
  mzc_setup(e, cinfo);
  e->lambda.numerator = lambda_numerator;
  e->lambda.offset = lambda_offset;
}

void mzc_component_begin(mzc_engine *e, int component, const float *lambda_scale)
{
  mzc_forget_component(e, component);
  e->component[component].lambda_scale = lambda_scale;
}

void mzc_component_row(mzc_engine *e, int component, int row, const JCOEF *raw)
{
  mzc_read_blocks(e, component, row, raw);
}

int mzc_component_choose(mzc_engine *e, int component)
{
  if (!e->declined)
    mzc_choose_component(e, component);
  return e->declined ? -1 : 0;
}

void mzc_component_chosen(const mzc_engine *e, int component, int row, JCOEF *blocks)
{
  const mzc_component *k = &e->component[component];
  const mzc_sparse_block *sparse = k->level[0].block + (size_t)row * k->width;

  memset(blocks, 0, (size_t)k->width * DCTSIZE2 * sizeof *blocks);
  for (int x = 0; x < k->width; x++, blocks += DCTSIZE2) {
    const int16_t *value = k->level[0].value + sparse[x].start;

    blocks[0] = k->dc[(size_t)row * k->padded_width + x];
    for (uint64_t mask = sparse[x].mask; mask; mask &= mask - 1)
      blocks[jpeg_natural_order[__builtin_ctzll(mask)]] = *value++;
  }
}

int mzc_components_finish(mzc_engine *e, j_compress_ptr cinfo)
{
  int result = mzc_write_chosen(e);

  jpeg_abort((j_common_ptr)cinfo);
  return result;
}
