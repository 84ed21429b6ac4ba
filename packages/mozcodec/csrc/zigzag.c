/* Zigzag order of NxN blocks. */
#include "zigzag.h"

void mzc_zigzag(int n, int order[64])
{
  int k = 0;

  for (int diagonal = 0; diagonal < 2 * n - 1; diagonal++)
    for (int i = 0; i <= diagonal; i++) {
      int row = diagonal % 2 ? i : diagonal - i, column = diagonal - row;
      if (row < n && column < n)
        order[k++] = 8 * row + column;
    }
}
