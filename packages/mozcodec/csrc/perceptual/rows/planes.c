/* Rows of planes: from pixels, down to chroma's size and up again, to bytes. */

/* Samples of 8 bits, of pixels step apart, as they are. */
static void spread(const uint8_t *pixels, int step, const int place[3], float *const rgb[3], int n)
{
  float *a, *b, *c;

  if (step == 3 && place[0] != place[1]) {
    a = rgb[place[0] == 0 ? 0 : 2];            /* RGB or BGR */
    b = rgb[1];
    c = rgb[place[0] == 0 ? 2 : 0];
    INDEPENDENT
    for (int i = 0; i < n; i++) {
      a[i] = pixels[3 * i];
      b[i] = pixels[3 * i + 1];
      c[i] = pixels[3 * i + 2];
    }
    return;
  }
  for (int k = 0; k < 3; k++) {
    const uint8_t *p = pixels + place[k];

    a = rgb[k];
    if (step == 1) {
      INDEPENDENT
      for (int i = 0; i < n; i++)
        a[i] = p[i];
    } else {
      for (int i = 0; i < n; i++)
        a[i] = p[(size_t)i * step];
    }
  }
}

static void add_means(const float *row, int across, float share, int adds, float *out, int n)
{
  float *o = out;

  if (across == 1) {
    INDEPENDENT
    for (int i = 0; i < n; i++)
      o[i] = (adds ? o[i] : 0) + share * row[i];
  } else {
    INDEPENDENT
    for (int i = 0; i < n; i++)
      o[i] = (adds ? o[i] : 0) + share * (row[2 * i] + row[2 * i + 1]);
  }
}

static void upsample(const uint8_t *near, const uint8_t *other, int across, float *scratch, float *out, int n)
{
  float *down = across == 1 ? out : scratch, *o = out;

  INDEPENDENT
  for (int i = 0; i < n; i++)
    down[i] = 0.75f * near[i] + 0.25f * other[i] - 128.0f;
  if (across == 1)
    return;
  down[-1] = down[0];
  down[n] = down[n - 1];
  INDEPENDENT
  for (int i = 0; i < n; i++) {
    o[2 * i] = 0.75f * down[i] + 0.25f * down[i - 1];
    o[2 * i + 1] = 0.75f * down[i] + 0.25f * down[i + 1];
  }
}

static void to_bytes(const float *samples, uint8_t *out, int n)
{
  uint8_t *o = out;

  INDEPENDENT
  for (int i = 0; i < n; i++)
    o[i] = (uint8_t)(int32_t)samples[i];
}
