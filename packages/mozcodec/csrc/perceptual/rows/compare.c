/* Rows of SSIMULACRA2: its colour space, its blur and its three error maps, with their derivatives. */

/* A Gaussian of sigma 1.5, as truncated cosine sums give it (the published tool computes it recursively). */
static const float blur_tap[MZC_BLUR_RADIUS + 1] = { 0.264621109f, 0.212928593f, 0.10933537f, 0.0360111147f,
                                                     0.00941436738f };

/* From linear RGB to the responses of the three cones, before their cube root. */
#define LONG_R 0.30f
#define LONG_B 0.078f
#define LONG_G (1.0f - LONG_R - LONG_B)
#define MEDIUM_R 0.23f
#define MEDIUM_B 0.078f
#define MEDIUM_G (1.0f - MEDIUM_R - MEDIUM_B)
#define SHORT_R 0.24342268924547819f
#define SHORT_G 0.20476744424496821f
#define SHORT_B (1.0f - SHORT_R - SHORT_G)
#define BIAS 0.0037930732552754493f
#define BIAS_ROOT 0.15595420054924863f

static void opsin(const float *const linear[3], float *const channel[3], int n)
{
  const float *r = linear[0], *g = linear[1], *b = linear[2];
  float *x = channel[0], *y = channel[1], *z = channel[2];

  INDEPENDENT
  for (int i = 0; i < n; i++) {
    float l = mzc_cube_root(LONG_R * r[i] + LONG_G * g[i] + LONG_B * b[i] + BIAS) - BIAS_ROOT;
    float m = mzc_cube_root(MEDIUM_R * r[i] + MEDIUM_G * g[i] + MEDIUM_B * b[i] + BIAS) - BIAS_ROOT;
    float s = mzc_cube_root(SHORT_R * r[i] + SHORT_G * g[i] + SHORT_B * b[i] + BIAS) - BIAS_ROOT;
    float luma = 0.5f * (l + m);

    x[i] = 0.5f * (l - m) * 14.0f + 0.42f;
    y[i] = luma + 0.01f;
    z[i] = s - luma + 0.55f;
  }
}

static void opsin_adjoint(const float *const channel[3], const float *const slope[3], float *const linear[3], int n)
{
  const float *x = channel[0], *y = channel[1], *z = channel[2];
  const float *dx = slope[0], *dy = slope[1], *dz = slope[2];
  float *r = linear[0], *g = linear[1], *b = linear[2];

  INDEPENDENT
  for (int i = 0; i < n; i++) {
    float luma = y[i] - 0.01f, difference = (x[i] - 0.42f) * (1.0f / 14.0f);
    float l = luma + difference + BIAS_ROOT, m = luma - difference + BIAS_ROOT, s = z[i] - 0.55f + luma + BIAS_ROOT;
    float half = 0.5f * (dy[i] - dz[i]);
    float dl = (half + 7.0f * dx[i]) / (3.0f * l * l);
    float dm = (half - 7.0f * dx[i]) / (3.0f * m * m);
    float ds = dz[i] / (3.0f * s * s);

    r[i] = LONG_R * dl + MEDIUM_R * dm + SHORT_R * ds;
    g[i] = LONG_G * dl + MEDIUM_G * dm + SHORT_G * ds;
    b[i] = LONG_B * dl + MEDIUM_B * dm + SHORT_B * ds;
  }
}

static void blur_across(const float *in, float *out, int n)
{
  float *o = out;

  INDEPENDENT
  for (int i = 0; i < n; i++)
    o[i] = blur_tap[0] * in[i] + blur_tap[1] * (in[i - 1] + in[i + 1]) + blur_tap[2] * (in[i - 2] + in[i + 2]) +
           blur_tap[3] * (in[i - 3] + in[i + 3]) + blur_tap[4] * (in[i - 4] + in[i + 4]);
}

static void blur_down(const float *const rows[MZC_BLUR_ROWS], float *out, int n)
{
  const float *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
  const float *e = rows[4], *f = rows[5], *g = rows[6], *h = rows[7];
  const float *i = rows[8];
  float *o = out;

  INDEPENDENT
  for (int x = 0; x < n; x++)
    o[x] = blur_tap[0] * e[x] + blur_tap[1] * (d[x] + f[x]) + blur_tap[2] * (c[x] + g[x]) + blur_tap[3] * (b[x] + h[x]) +
           blur_tap[4] * (a[x] + i[x]);
}

/* The published program blurs with three recursive filters in single precision, whose rounding errors add up from row to
 * row: between images that are nearly equal they are half a point of the score. A product of two floats is exact in
 * double, so each step rounds (but once in 2^28 times) as its fused multiply-add. */
static inline float fused(float a, float b, float c)
{
  return (float)((double)a * b + c);
}

static void blur_down_recursively(const float *above, const float *below, float *const newest[MZC_NUM_STATES],
                                  float *const older[MZC_NUM_STATES], float *out, int n)
{
  static const float gain[MZC_NUM_STATES] = { 0.0552952364f, -0.0588366874f, 0.0129558193f };
  static const float decay[MZC_NUM_STATES] = { 1.90211308f, 1.17557049f, 1.22464685e-16f };   /* 2 cos(k pi / 10) */
  const float *a = above, *b = below;
  const float *p1 = newest[0], *p3 = newest[1], *p5 = newest[2];
  float *q1 = older[0], *q3 = older[1], *q5 = older[2], *o = out;

  INDEPENDENT
  for (int i = 0; i < n; i++) {
    float sum = a[i] + b[i];
    float y1 = fused(gain[0], sum, fused(decay[0], p1[i], -q1[i]));
    float y3 = fused(gain[1], sum, fused(decay[1], p3[i], -q3[i]));
    float y5 = fused(gain[2], sum, fused(decay[2], p5[i], -q5[i]));

    q1[i] = y1;
    q3[i] = y3;
    q5[i] = y5;
    o[i] = y1 + (y3 + y5);
  }
}

static void products(const float *a, const float *b, float *squares, float *product, int n)
{
  float *s = squares, *p = product;

  INDEPENDENT
  for (int i = 0; i < n; i++) {
    s[i] = a[i] * a[i] + b[i] * b[i];
    p[i] = a[i] * b[i];
  }
}

static inline float magnitude_of(float x)
{
  return x < 0 ? -x : x;
}

#define C2 0.0009f

static void add_powers(const float *error, int n, double *sum, double *fourth)
{
  float once[8] = { 0 }, four_times[8] = { 0 };

  for (int i = 0; i < n; i += 8)             /* what lies beyond the row is zero */
    for (int k = 0; k < 8; k++) {
      float e = error[i + k], square = e * e;
      once[k] += e;
      four_times[k] += square * square;
    }
  for (int k = 0; k < 8; k++) {
    *sum += once[k];
    *fourth += four_times[k];
  }
}

static void compare(const mzc_compared_row *row, float *const scratch[3], mzc_error_sums *sums, int n)
{
  const float *a = row->reference, *b = row->distorted;
  const float *u = row->mean_reference, *v = row->mean_distorted;
  const float *squares = row->mean_squares, *product = row->mean_product;
  float *structure = scratch[0], *ringing = scratch[1], *blurring = scratch[2];

  INDEPENDENT
  for (int i = 0; i < n; i++) {
    float apart = u[i] - v[i];
    float numerator = 2.0f * (product[i] - u[i] * v[i]) + C2;
    float denominator = squares[i] - (u[i] * u[i] + v[i] * v[i]) + C2;
    float d = 1.0f - (1.0f - apart * apart) * (numerator / denominator);
    float edge = (1.0f + magnitude_of(b[i] - v[i])) / (1.0f + magnitude_of(a[i] - u[i])) - 1.0f;

    structure[i] = d > 0 ? d : 0;
    ringing[i] = edge > 0 ? edge : 0;
    blurring[i] = edge < 0 ? -edge : 0;
  }
  for (int m = 0; m < 3; m++)
    add_powers(scratch[m], n, &sums->sum[m], &sums->fourth[m]);
}

static void compare_adjoint(const mzc_compared_row *row, const mzc_error_slopes *slopes, float *direct, float *mean,
                            float *squares_out, float *product_out, int n)
{
  const float *a = row->reference, *b = row->distorted;
  const float *u = row->mean_reference, *v = row->mean_distorted;
  const float *squares = row->mean_squares, *product = row->mean_product;
  float *to_row = direct, *to_mean = mean, *to_squares = squares_out;
  float *to_product = product_out;
  const float s0 = slopes->slope[0], s1 = slopes->slope[1], s2 = slopes->slope[2];
  const float c0 = slopes->cubic[0], c1 = slopes->cubic[1], c2 = slopes->cubic[2];

  INDEPENDENT
  for (int i = 0; i < n; i++) {
    float apart = u[i] - v[i], near = 1.0f - apart * apart;
    float numerator = 2.0f * (product[i] - u[i] * v[i]) + C2;
    float denominator = squares[i] - (u[i] * u[i] + v[i] * v[i]) + C2, inverse = 1.0f / denominator;
    float ratio = numerator / denominator, d = 1.0f - near * ratio;
    float slope = d > 0 ? s0 + c0 * (d * d * d) : 0;
    float flat = 1.0f / (1.0f + magnitude_of(a[i] - u[i])), here = b[i] - v[i];
    float edge = (1.0f + magnitude_of(here)) * flat - 1.0f, cube = edge * edge * edge;
    float edge_slope = edge > 0 ? s1 + c1 * cube : c2 * cube - s2;

    edge_slope = edge == 0 ? 0 : edge_slope;
    edge_slope = (here < 0 ? -edge_slope : edge_slope) * flat;
    to_row[i] = edge_slope;
    to_product[i] = -2.0f * slope * near * inverse;
    to_squares[i] = slope * near * ratio * inverse;
    to_mean[i] = slope * (2.0f * near * inverse * (u[i] - v[i] * ratio) - 2.0f * apart * ratio) - edge_slope;
  }
}

static void gather_adjoint(const float *direct, const float *mean, const float *squares, const float *product,
                           const float *reference, const float *distorted, float *out, int n)
{
  float *o = out;

  INDEPENDENT
  for (int i = 0; i < n; i++)
    o[i] = direct[i] + mean[i] + 2.0f * distorted[i] * squares[i] + reference[i] * product[i];
}

static void halve(const float *upper, const float *lower, float *out, int n)
{
  float *o = out;

  INDEPENDENT
  for (int i = 0; i < n / 2; i++)
    o[i] = 0.25f * ((upper[2 * i] + upper[2 * i + 1]) + (lower[2 * i] + lower[2 * i + 1]));
  if (n % 2)
    o[n / 2] = 0.5f * (upper[n - 1] + lower[n - 1]);
}
