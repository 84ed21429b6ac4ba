/* The orthonormal DCT of 8 x 8 blocks in float: eight columns at once, transposed, eight columns again. */

#define C1 0.49039264f   /* cos(k pi / 16) / 2 */
#define C2_ 0.46193977f
#define C3 0.41573481f
#define C4 0.35355339f
#define C5 0.27778512f
#define C6 0.19134172f
#define C7 0.09754516f

typedef float square[8][8];

static inline void forward_columns(square in, square out)
{
  for (int x = 0; x < 8; x++) {
    float s07 = in[0][x] + in[7][x], s16 = in[1][x] + in[6][x], s25 = in[2][x] + in[5][x], s34 = in[3][x] + in[4][x];
    float d07 = in[0][x] - in[7][x], d16 = in[1][x] - in[6][x], d25 = in[2][x] - in[5][x], d34 = in[3][x] - in[4][x];
    float a = s07 + s34, b = s16 + s25, c = s07 - s34, d = s16 - s25;

    out[0][x] = C4 * (a + b);
    out[4][x] = C4 * (a - b);
    out[2][x] = C2_ * c + C6 * d;
    out[6][x] = C6 * c - C2_ * d;
    out[1][x] = C1 * d07 + C3 * d16 + C5 * d25 + C7 * d34;
    out[3][x] = C3 * d07 - C7 * d16 - C1 * d25 - C5 * d34;
    out[5][x] = C5 * d07 - C1 * d16 + C7 * d25 + C3 * d34;
    out[7][x] = C7 * d07 - C5 * d16 + C3 * d25 - C1 * d34;
  }
}

static inline void inverse_columns(square in, square out)
{
  for (int x = 0; x < 8; x++) {
    float a = C4 * (in[0][x] + in[4][x]), b = C4 * (in[0][x] - in[4][x]);
    float c = C2_ * in[2][x] + C6 * in[6][x], d = C6 * in[2][x] - C2_ * in[6][x];
    float e0 = a + c, e1 = b + d, e2 = b - d, e3 = a - c;
    float o0 = C1 * in[1][x] + C3 * in[3][x] + C5 * in[5][x] + C7 * in[7][x];
    float o1 = C3 * in[1][x] - C7 * in[3][x] - C1 * in[5][x] - C5 * in[7][x];
    float o2 = C5 * in[1][x] - C1 * in[3][x] + C7 * in[5][x] + C3 * in[7][x];
    float o3 = C7 * in[1][x] - C5 * in[3][x] + C3 * in[5][x] - C1 * in[7][x];

    out[0][x] = e0 + o0;
    out[7][x] = e0 - o0;
    out[1][x] = e1 + o1;
    out[6][x] = e1 - o1;
    out[2][x] = e2 + o2;
    out[5][x] = e2 - o2;
    out[3][x] = e3 + o3;
    out[4][x] = e3 - o3;
  }
}

static inline void transpose(square in, square out)
{
  for (int y = 0; y < 8; y++)
    for (int x = 0; x < 8; x++)
      out[x][y] = in[y][x];
}

static inline void transform(const float *samples, size_t row_length, float level, square out)
{
  square a, b;

  for (int y = 0; y < 8; y++)
    for (int x = 0; x < 8; x++)
      a[y][x] = samples[y * row_length + x] - level;
  forward_columns(a, b);
  transpose(b, a);
  forward_columns(a, b);
  transpose(b, out);
}

static void forward_dct(const float *samples, size_t row_length, float level, int16_t *out, int num_blocks)
{
  square coefficient;
  const float *flat = coefficient[0];

  for (int b = 0; b < num_blocks; b++, samples += 8, out += 64) {
    transform(samples, row_length, level, coefficient);
    INDEPENDENT
    for (int i = 0; i < 64; i++)
      out[i] = (int16_t)(int32_t)nearest(8.0f * flat[i]);
  }
}

static void inverse_dct(const int16_t *blocks, const float *steps, float *samples, size_t row_length, int num_blocks)
{
  square a, b;
  float *flat = a[0];

  for (int n = 0; n < num_blocks; n++, blocks += 64, samples += 8) {
    INDEPENDENT
    for (int i = 0; i < 64; i++)
      flat[i] = (float)blocks[i] * steps[i];
    inverse_columns(a, b);
    transpose(b, a);
    inverse_columns(a, b);
    transpose(b, a);
    for (int y = 0; y < 8; y++)
      for (int x = 0; x < 8; x++)
        samples[y * row_length + x] = nearest(clamped(a[y][x] + 128.0f, 0, 255));
  }
}

static void distortion(const float *difference, size_t row_length, const float *reciprocal_steps, float *out,
                       int num_blocks)
{
  square coefficient;

  for (int b = 0; b < num_blocks; b++, difference += 8) {
    float sum[8] = { 0 }, total = 0;

    transform(difference, row_length, 0, coefficient);
    for (int y = 0; y < 8; y++)
      for (int x = 0; x < 8; x++) {
        float e = coefficient[y][x] * reciprocal_steps[8 * y + x];
        sum[x] += e * e;
      }
    for (int x = 0; x < 8; x++)
      total += sum[x];
    out[b] = total;
  }
}
