/* Rows of colours: transfer function, YCbCr and the luma correction. */

#define CB_TO_G (-0.344136f)
#define CB_TO_B 1.772f
#define CR_TO_R 1.402f
#define CR_TO_G (-0.714136f)

static inline float clamped(float x, float low, float high)
{
  x = x > low ? x : low;
  return x < high ? x : high;
}

/* To the nearest integer, halves to even; |x| < 2^22. */
static inline float nearest(float x)
{
  return x + 12582912.0f - 12582912.0f;
}

static void to_linear(const float *samples, float *linear, int n)
{
  float *o = linear;

  INDEPENDENT
  for (int i = 0; i < n; i++)
    o[i] = mzc_linear_of(samples[i] * (1.0f / 255.0f));
}

/* x^(1 / 2.4) = c sqrt(sqrt(c)) with c the cube root of x. */
static void from_linear(const float *linear, float *samples, int n)
{
  float *o = samples;

  INDEPENDENT
  for (int i = 0; i < n; i++) {
    float x = linear[i], root = mzc_cube_root(x > 0.0031308f ? x : 0.0031308f);
    float curved = 1.055f * (root * __builtin_sqrtf(__builtin_sqrtf(root))) - 0.055f;
    o[i] = 255.0f * (x > 0.0031308f ? curved : 12.92f * x);
  }
}

static void to_ycc(const float *const rgb[3], float *y, float *cb, float *cr, int n)
{
  const float *r = rgb[0], *g = rgb[1], *b = rgb[2];
  float *luma = y, *blue = cb, *red = cr;

  INDEPENDENT
  for (int i = 0; i < n; i++) {
    luma[i] = 0.299f * r[i] + 0.587f * g[i] + 0.114f * b[i];
    blue[i] = -0.168736f * r[i] - 0.331264f * g[i] + 0.5f * b[i];
    red[i] = 0.5f * r[i] - 0.418688f * g[i] - 0.081312f * b[i];
  }
}

/* Luminance that the decoder will show: the mean of the first two rows of SSIMULACRA2's cone responses. */
#define WEIGHT_R 0.265f
#define WEIGHT_G 0.657f
#define WEIGHT_B 0.078f

static inline float luminance(float y, float to_r, float to_g, float to_b)
{
  float r = mzc_linear_of(clamped(y + to_r, 0, 255) * (1.0f / 255.0f));
  float g = mzc_linear_of(clamped(y + to_g, 0, 255) * (1.0f / 255.0f));
  float b = mzc_linear_of(clamped(y + to_b, 0, 255) * (1.0f / 255.0f));

  return WEIGHT_R * r + WEIGHT_G * g + WEIGHT_B * b;
}

/* A step of Newton's method, with a slope over one level. */
static inline float closer(float value, float target, float to_r, float to_g, float to_b)
{
  float here = luminance(value, to_r, to_g, to_b);
  float slope = luminance(value + 1.0f, to_r, to_g, to_b) - here;

  slope = slope > 2e-4f ? slope : 2e-4f;
  return clamped(value + clamped((target - here) / slope, -16, 16), 0, 255);
}

static void correct_luma(const float *const rgb[3], const float *cb, const float *cr, float *y, float strength, int n)
{
  const float *r = rgb[0], *g = rgb[1], *b = rgb[2];

  INDEPENDENT
  for (int i = 0; i < n; i++) {
    float to_r = CR_TO_R * cr[i], to_g = CB_TO_G * cb[i] + CR_TO_G * cr[i], to_b = CB_TO_B * cb[i];
    float target = luminance(0, r[i], g[i], b[i]);
    float value = closer(y[i], target, to_r, to_g, to_b);

    value = closer(value, target, to_r, to_g, to_b);
    value = closer(value, target, to_r, to_g, to_b);
    y[i] += strength * (value - y[i]);
  }
}

static void to_rgb(const float *y, const float *cb, const float *cr, float *const rgb[3], int n)
{
  float *r = rgb[0], *g = rgb[1], *b = rgb[2];

  INDEPENDENT
  for (int i = 0; i < n; i++) {
    r[i] = nearest(clamped(y[i] + CR_TO_R * cr[i], 0, 255));
    g[i] = nearest(clamped(y[i] + CB_TO_G * cb[i] + CR_TO_G * cr[i], 0, 255));
    b[i] = nearest(clamped(y[i] + CB_TO_B * cb[i], 0, 255));
  }
}
