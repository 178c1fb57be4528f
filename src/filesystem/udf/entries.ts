/** Flags of a file (ECMA-167, 4/14.6.8): how its extents are written, and the rights that permissions do not have. */
export function fileFlags(word: number): { readonly extentKind: number; readonly special: number } {
  const special = ((word & 0x40) !== 0 ? 0o4000 : 0) | ((word & 0x80) !== 0 ? 0o2000 : 0)
  return { extentKind: word & 7, special: special | ((word & 0x100) !== 0 ? 0o1000 : 0) }
}

/** Permissions (4/14.9.5): five bits each for others, the group and the owner, of which three are POSIX's. */
export function posixPermissions(word: number): number {
  return (word & 7) | (((word >> 5) & 7) << 3) | (((word >> 10) & 7) << 6)
}

/** The length of an extent (4/14.14.1.1), and its kind: recorded, allocated only, absent, or one that leads on. */
export function extentLength(word: number): { readonly length: number; readonly kind: number } {
  return { length: word & 0x3fffffff, kind: word >>> 30 }
}

/** Flags of a name (4/14.4.3). */
export function identifierFlags(word: number): { readonly isDeleted: boolean; readonly isParent: boolean } {
  return { isDeleted: (word & 4) !== 0, isParent: (word & 8) !== 0 }
}

/** The zone of a time (1/7.3.1), in minutes; 0 where it is not said. */
export function zoneMinutes(word: number): number {
  const zone = ((word & 0xfff) << 20) >> 20
  return zone === -2047 ? 0 : zone
}

/** CRC-16 of a descriptor (polynomial 0x1021; 3/7.2.6). */
export function descriptorChecksum(bytes: Uint8Array): number {
  let sum = 0
  for (const byte of bytes) {
    sum ^= byte << 8
    for (let bit = 0; bit < 8; bit++) sum = (sum & 0x8000) !== 0 ? ((sum << 1) ^ 0x1021) & 0xffff : (sum << 1) & 0xffff
  }
  return sum
}
