/** Bit numbers that are set in a word of flags, lowest first. */
export function bitsOf(word: bigint): number[] {
  const bits: number[] = []
  for (let bit = 0; bit < 64; bit++) if ((word >> BigInt(bit)) & 1n) bits.push(bit)
  return bits
}

/** Whether a bit is set in a word of flags. */
export function hasBit(word: bigint, bit: number): boolean {
  return ((word >> BigInt(bit)) & 1n) === 1n
}

/** A word of flags with these bits set. */
export function withBits(bits: readonly number[]): bigint {
  return bits.reduce((word, bit) => word | (1n << BigInt(bit)), 0n)
}
