/** A word of 32 bits as eight hexadecimal digits. */
export function hex32(word: number): string {
  return word.toString(16).padStart(8, '0')
}
