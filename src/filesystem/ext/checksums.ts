import { crc16, crc32c } from '../../binary/checksum.js'
import { viewOf } from '../../binary/integers.js'
import type { ExtLayout } from './layout.js'
import { extDescriptor, extSuperblock } from './structs.js'

/** ext4 takes CRC-32C without its final inversion; crc32c() has it, and continues from what it gave before. */
function stored(checksum: number): number {
  return 0xffffffff - checksum
}

/** Whether the superblock's checksum holds; true where it has none. */
export function superblockHolds(bytes: Uint8Array, { features, superblock }: ExtLayout): boolean {
  return (
    !features.has('metadata_csum') ||
    stored(crc32c(bytes.subarray(0, extSuperblock.fields.checksum.offset))) === superblock.checksum
  )
}

/** The bytes of a superblock after a change of them, with the checksum that they are to have. */
export function sealedSuperblock(bytes: Uint8Array, { features }: ExtLayout): Uint8Array {
  if (!features.has('metadata_csum')) return bytes
  const { offset } = extSuperblock.fields.checksum
  viewOf(bytes).setUint32(offset, stored(crc32c(bytes.subarray(0, offset))), true)
  return bytes
}

/** The checksums that a filesystem keeps of its structures, all of which begin with its UUID. */
export class ExtChecksums {
  /** Whether inodes, bitmaps, extents and folders have checksums. */
  readonly ofMetadata: boolean
  readonly #ofDescriptors: boolean
  readonly #seed: number
  readonly #uuid: Uint8Array

  constructor({ features, superblock }: ExtLayout) {
    this.ofMetadata = features.has('metadata_csum')
    this.#ofDescriptors = this.ofMetadata || features.has('uninit_bg')
    this.#uuid = superblock.uuidBytes
    this.#seed = features.has('metadata_csum_seed') ? stored(superblock.checksumSeed) : crc32c(superblock.uuidBytes)
  }

  descriptorHolds(group: number, bytes: Uint8Array): boolean {
    return !this.#ofDescriptors || this.#ofDescriptor(group, bytes) === extDescriptor.read(bytes).checksum
  }

  /** The bytes of a descriptor after a change of them, with the checksum that they are to have. */
  sealedDescriptor(group: number, bytes: Uint8Array): Uint8Array {
    if (this.#ofDescriptors)
      viewOf(bytes).setUint16(extDescriptor.fields.checksum.offset, this.#ofDescriptor(group, bytes), true)
    return bytes
  }

  #ofDescriptor(group: number, bytes: Uint8Array): number {
    const { checksum: field } = extDescriptor.fields
    if (this.ofMetadata) {
      const zeroed = extDescriptor.without('checksum', bytes, bytes.length)
      return stored(crc32c(zeroed, crc32c(word(group), this.#seed))) % 65536
    }
    const head = crc16(bytes.subarray(0, field.offset), crc16(word(group), crc16(this.#uuid, 0xffff)))
    return crc16(bytes.subarray(field.offset + field.length), head)
  }

  /** The checksum of a bitmap of blocks, where the filesystem keeps one. */
  ofBitmap(bitmap: Uint8Array): number {
    return stored(crc32c(bitmap, this.#seed))
  }

  /** @param expected the low half, and the high half where descriptors have it. */
  bitmapHolds(bitmap: Uint8Array, expected: { readonly low: number; readonly high: number | undefined }): boolean {
    if (!this.ofMetadata) return true
    const checksum = this.ofBitmap(bitmap)
    return (
      checksum % 65536 === expected.low &&
      (expected.high === undefined || Math.floor(checksum / 65536) === expected.high)
    )
  }

  /** What the checksums of an inode, and of the blocks that belong to it, begin with. */
  inodeSeed(inode: number, generation: number): number {
    return crc32c(word(generation), crc32c(word(inode), this.#seed))
  }

  /** The checksum of a structure that belongs to an inode. */
  ofInode(seed: number, bytes: Uint8Array): number {
    return stored(crc32c(bytes, seed))
  }
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  viewOf(bytes).setUint32(0, value, true)
  return bytes
}
