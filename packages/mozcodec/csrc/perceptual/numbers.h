/* Elementary functions whose results are the same everywhere: additions, multiplications, divisions and square roots of
 * IEEE 754 in a fixed order, and nothing from libm, which rounds differently from one system to the next. */
#ifndef MZC_PERCEPTUAL_NUMBERS_H
#define MZC_PERCEPTUAL_NUMBERS_H

#include <stdint.h>
#include <string.h>

/* Natural logarithm of a positive normal number; relative error below 1e-15. */
static inline double mzc_log(double x)
{
  uint64_t bits;
  int exponent;
  double z, zz, sum = 0;

  memcpy(&bits, &x, sizeof bits);
  exponent = (int)(bits >> 52) - 1023;
  bits = (bits & 0xFFFFFFFFFFFFF) | (uint64_t)1023 << 52;
  memcpy(&x, &bits, sizeof x);
  if (x > 1.4142135623730951) {
    x *= 0.5;
    exponent++;
  }
  z = (x - 1) / (x + 1);           /* log x = 2 artanh z, |z| < 0.1716 */
  zz = z * z;
  for (int k = 23; k >= 1; k -= 2)
    sum = sum * zz + 1.0 / k;
  return exponent * 0.6931471805599453 + 2 * z * sum;
}

/* Exponential function for |x| < 700; relative error below 1e-15. */
static inline double mzc_exp(double x)
{
  int exponent = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
  double rest = x - exponent * 0.693147180369123816490 - exponent * 1.90821492927058770002e-10, sum = 1, scale;
  uint64_t bits = (uint64_t)(exponent + 1023) << 52;

  for (int k = 16; k >= 1; k--)
    sum = 1 + sum * rest / k;
  memcpy(&scale, &bits, sizeof scale);
  return sum * scale;
}

static inline double mzc_power(double base, double exponent)
{
  return mzc_exp(exponent * mzc_log(base));
}

/* sRGB's transfer function, 0..1, exact to double precision; and its derivative. */
static inline double mzc_srgb_to_linear(double v)
{
  return v <= 0.04045 ? v / 12.92 : mzc_power((v + 0.055) / 1.055, 2.4);
}

static inline double mzc_srgb_slope(double v)
{
  return v <= 0.04045 ? 1 / 12.92 : 2.4 / 1.055 * mzc_power((v + 0.055) / 1.055, 1.4);
}

/* The same in float, as a rational function fitted to it: absolute error below 4e-7. */
static inline float mzc_linear_of(float v)
{
  float p = 1.66638485346960f, q = 0.508131251521892f;

  p = p * v + 6.15809836779228f;
  p = p * v + 3.88186668634875f;
  p = p * v + 0.673325608430414f;
  p = p * v + 0.0410106986827153f;
  p = p * v + 0.000834493850163567f;
  q = q * v + 5.30241046239160f;
  q = q * v + 5.61098067490736f;
  q = q * v + 1.0f;
  return v <= 0.04045f ? v * (float)(1 / 12.92) : p / q;
}

/* Cube root of a positive number; relative error below 4e-7. Newton's method for the inverse cube root divides nowhere. */
static inline float mzc_cube_root(float x)
{
  float third = x * (1.0f / 3.0f), r;
  int32_t bits;

  memcpy(&bits, &x, sizeof bits);
  bits = 0x54A21D2A - bits / 3;
  memcpy(&r, &bits, sizeof r);
  for (int k = 0; k < 3; k++)
    r = r * (1.33333333f - third * r * r * r);
  return x * r * r;
}

#endif
