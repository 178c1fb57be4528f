/** `bytes 1048576 to 2097151`: both ends belong to it. */
export function shortRange(start: number, length: number): string {
  return `bytes ${start} to ${Math.max(start, start + length - 1)}`
}
