import { unallocated } from './structs.js'

/** What a BAT entry says of a block. `position`: where its sector bitmap begins in the file, in bytes. */
export type BlockEntry =
  { readonly kind: 'unallocated' } | { readonly kind: 'allocated'; readonly sector: number; readonly position: number }

export function blockEntry(word: number): BlockEntry {
  return word === unallocated ? { kind: 'unallocated' } : { kind: 'allocated', sector: word, position: word * 512 }
}

/** Whether the sector is in this file. The first sector of a byte is its most significant bit. */
export function testBit(bitmap: Uint8Array, sector: number): boolean {
  return ((bitmap[Math.floor(sector / 8)] ?? 0) & (0x80 >> (sector % 8))) !== 0
}

/** Sets the bits of sectors [from, to). */
export function setBits(bitmap: Uint8Array, from: number, to: number): void {
  for (let sector = from; sector < to;) {
    const byte = Math.floor(sector / 8)
    if (sector % 8 === 0 && to - sector >= 8) {
      const whole = Math.floor((to - sector) / 8)
      bitmap.fill(0xff, byte, byte + whole)
      sector += whole * 8
    } else {
      bitmap[byte] = (bitmap[byte] ?? 0) | (0x80 >> (sector % 8))
      sector++
    }
  }
}

/** The end (at most `to`) of the run of equal bits that begins at sector `from` < `to`. */
export function runEnd(bitmap: Uint8Array, from: number, to: number): number {
  const value = testBit(bitmap, from)
  const whole = value ? 0xff : 0
  let sector = from + 1
  while (sector < to) {
    if (sector % 8 === 0 && bitmap[sector / 8] === whole) sector = Math.min(to, sector + 8)
    else if (testBit(bitmap, sector) === value) sector++
    else break
  }
  return sector
}

/** A version word as people write it: 1.0. */
export function versionText(word: number): string {
  return `${word >>> 16}.${word & 0xffff}`
}

export function majorVersion(word: number): number {
  return word >>> 16
}

/** The two feature bits that mean something: the disk may be deleted at shutdown; a bit that is always set. */
export function featureBits(features: bigint): { readonly temporary: boolean; readonly reserved: boolean } {
  return { temporary: (features & 1n) !== 0n, reserved: (features & 2n) !== 0n }
}

/** Whether any other bit than those two is set. */
export function unknownFeatures(features: bigint): boolean {
  return (features & ~3n) !== 0n
}
