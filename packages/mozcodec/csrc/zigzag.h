/* Zigzag order of NxN blocks. */
#ifndef MOZCODEC_ZIGZAG_H
#define MOZCODEC_ZIGZAG_H

/* order[k] = 8 * row + column of the k-th coefficient of an n x n block that stands in the corner of an 8x8 one. */
void mzc_zigzag(int n, int order[64]);

#endif
