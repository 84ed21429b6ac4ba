/* Forward DCTs of any size up to 16x16, of which the corner of 8x8 coefficients is kept.
 *
 * A JPEG coefficient is F(v,u) = 8 / sqrt(M N) times the orthonormal MxN DCT of the samples minus 128, whatever M and N:
 * so a flat block has the same DC at every size, and decoders need not know the size. libjpeg's forward DCT gives 8 F,
 * and so does this. IJG's integer transforms of libjpeg 7 to 9 do the same, but for N = 12 and 14, where a missing shift
 * spoils one frequency (jfdctint.c, jpeg_fdct_12x12 and jpeg_fdct_14x14): here they are right. */
#include <math.h>

#include "scaled.h"

#define LARGEST 16
#define PI 3.14159265358979323846

/* matrix[x][k]: what sample x adds to frequency k of an n-point transform. Both together scale by 8 * 8 / sqrt(M N). */
static void transform_matrix(int n, float matrix[LARGEST][DCTSIZE])
{
  for (int x = 0; x < n; x++)
    for (int k = 0; k < DCTSIZE; k++) {
      double orthonormal = k < n ? sqrt((k ? 2.0 : 1.0) / n) * cos((2 * x + 1) * k * PI / (2 * n)) : 0;
      matrix[x][k] = (float)(orthonormal * 8 / sqrt(n));
    }
}

static void transform_block(const unsigned char *samples, size_t stride, int h_size, int v_size,
                            float h_matrix[LARGEST][DCTSIZE], float v_matrix[LARGEST][DCTSIZE], int16_t *raw)
{
  float rows[LARGEST][DCTSIZE];

  for (int y = 0; y < v_size; y++, samples += stride) {
    float sum[DCTSIZE] = { 0 };
    for (int x = 0; x < h_size; x++) {
      float sample = (float)samples[x] - CENTERJSAMPLE;
      for (int k = 0; k < DCTSIZE; k++)
        sum[k] += sample * h_matrix[x][k];
    }
    memcpy(rows[y], sum, sizeof sum);
  }
  for (int v = 0; v < DCTSIZE; v++) {
    float sum[DCTSIZE] = { 0 };
    for (int y = 0; y < v_size; y++)
      for (int k = 0; k < DCTSIZE; k++)
        sum[k] += v_matrix[y][v] * rows[y][k];
    for (int k = 0; k < DCTSIZE; k++)
      raw[v * DCTSIZE + k] = (int16_t)lrintf(sum[k]);
  }
}

void mzc_forward_dct(const unsigned char *samples, int wide, int high, int h_size, int v_size, int16_t *raw)
{
  float h_matrix[LARGEST][DCTSIZE], v_matrix[LARGEST][DCTSIZE];
  size_t stride = (size_t)wide * h_size;

  transform_matrix(h_size, h_matrix);
  transform_matrix(v_size, v_matrix);
  for (int y = 0; y < high; y++)
    for (int x = 0; x < wide; x++, raw += DCTSIZE2)
      transform_block(samples + (size_t)y * v_size * stride + (size_t)x * h_size, stride, h_size, v_size, h_matrix,
                      v_matrix, raw);
}
