/* True 2- and 4-point inverse DCTs. libjpeg's own reduced ones are box averages of the 8-point output (jidctred.c).
 *
 * Same arithmetic as jidctint.c: 13 fraction bits for the constants, 2 more between the passes, so that the results are
 * those of IJG's jpeg_idct_2x2 and jpeg_idct_4x4 since version 7. */
#include "decode.h"

#define CONST_BITS 13
#define PASS1_BITS 2
#define FIX_0_541196100 4433
#define FIX_0_765366865 6270
#define FIX_1_847759065 15137

static JSAMPLE clamp(long value)
{
  return (JSAMPLE)(value < 0 ? 0 : value > MAXJSAMPLE ? MAXJSAMPLE : value);
}

static long dequantized(jpeg_component_info *component, JCOEFPTR block, int row, int column)
{
  int k = row * DCTSIZE + column;

  if (component->quant_table == NULL)   /* no scan of this component came: its coefficients are 0 */
    return 0;
  return (long)block[k] * component->quant_table->quantval[k];
}

static void idct_2x2(j_decompress_ptr cinfo, jpeg_component_info *component, JCOEFPTR block, JSAMPARRAY rows,
                     JDIMENSION column)
{
  long dc = dequantized(component, block, 0, 0) + (CENTERJSAMPLE << 3) + 4;   /* + 4: rounds the shift by 3 */
  long h = dequantized(component, block, 0, 1);
  long v = dequantized(component, block, 1, 0);
  long hv = dequantized(component, block, 1, 1);

  (void)cinfo;
  rows[0][column] = clamp((dc + v + h + hv) >> 3);
  rows[0][column + 1] = clamp((dc + v - h - hv) >> 3);
  rows[1][column] = clamp((dc - v + h - hv) >> 3);
  rows[1][column + 1] = clamp((dc - v - h + hv) >> 3);
}

/* The odd part of a 4-point transform, with CONST_BITS more fraction bits. */
static void odd_part(long x1, long x3, long *outer, long *inner)
{
  long z = (x1 + x3) * FIX_0_541196100;

  *outer = z + x1 * FIX_0_765366865;
  *inner = z - x3 * FIX_1_847759065;
}

static void idct_4x4(j_decompress_ptr cinfo, jpeg_component_info *component, JCOEFPTR block, JSAMPARRAY rows,
                     JDIMENSION column)
{
  const long round1 = 1L << (CONST_BITS - PASS1_BITS - 1);
  long work[4][4], outer, inner;

  (void)cinfo;
  for (int k = 0; k < 4; k++) {
    long x0 = dequantized(component, block, 0, k), x2 = dequantized(component, block, 2, k);
    long even = (x0 + x2) * (1 << PASS1_BITS), middle = (x0 - x2) * (1 << PASS1_BITS);
    odd_part(dequantized(component, block, 1, k), dequantized(component, block, 3, k), &outer, &inner);
    outer = (outer + round1) >> (CONST_BITS - PASS1_BITS);
    inner = (inner + round1) >> (CONST_BITS - PASS1_BITS);
    work[0][k] = even + outer;
    work[1][k] = middle + inner;
    work[2][k] = middle - inner;
    work[3][k] = even - outer;
  }
  for (int y = 0; y < 4; y++) {
    const int shift = CONST_BITS + PASS1_BITS + 3;
    long x0 = work[y][0] + ((long)CENTERJSAMPLE << (PASS1_BITS + 3)) + (1L << (PASS1_BITS + 2));
    long even = (x0 + work[y][2]) * (1L << CONST_BITS), middle = (x0 - work[y][2]) * (1L << CONST_BITS);
    odd_part(work[y][1], work[y][3], &outer, &inner);
    rows[y][column] = clamp((even + outer) >> shift);
    rows[y][column + 1] = clamp((middle + inner) >> shift);
    rows[y][column + 2] = clamp((middle - inner) >> shift);
    rows[y][column + 3] = clamp((even - outer) >> shift);
  }
}

jpeg_idct_method mzc_true_idct(int size)
{
  return size == 2 ? idct_2x2 : size == 4 ? idct_4x4 : NULL;
}

void mzc_select_true_idct(j_decompress_ptr cinfo, jpeg_component_info *component, jpeg_idct_method *method, int *category)
{
  (void)cinfo;
  if (mzc_true_idct(component->DCT_scaled_size) == NULL)
    return;
  *method = mzc_true_idct(component->DCT_scaled_size);
  *category = JDCT_ISLOW;
}
