/**
 * The last of the first `count` numbers that is at most `value`; −1 where none is. @param ascending sorted, smallest
 * first.
 */
export function lastAtMost(ascending: ArrayLike<number>, count: number, value: number): number {
  let low = -1
  let high = count - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((ascending[middle] ?? Infinity) <= value) low = middle
    else high = middle - 1
  }
  return low
}
