import { noise } from '../../fixtures/content.js'
import type { MacriumDisk } from '../../fixtures/spec-writer/macrium.js'

const mebibyte = 1048576
export const blockSize = 4096
export const diskSize = 2 * mebibyte
/** Where the partitions begin. */
export const starts = { first: 32256, second: mebibyte } as const

/** The first partition: blocks that are stored, and some that are not. @param seed which content. */
export function firstContent(seed = 1): Buffer {
  const content = Buffer.alloc(40 * blockSize)
  for (const block of [0, 1, 2, 3, 9, 10, 20, 21, 22, 38, 39])
    content.set(noise(seed * 100 + block, blockSize), block * blockSize)
  return content
}

/** Content with some blocks changed, some no longer there, some new. */
export function changedContent(content: Buffer, seed: number): Buffer {
  const changed = Buffer.from(content)
  changed.set(noise(seed, blockSize), 2 * blockSize)
  changed.set(noise(seed + 1, blockSize), (11 + (seed % 5)) * blockSize)
  changed.fill(0, 20 * blockSize, 21 * blockSize)
  return changed
}

/** A partition of FAT: sectors before its blocks, and an end in the middle of a block. */
function secondContent(): Buffer {
  const content = Buffer.alloc(12 * blockSize + 512)
  content.set(noise(7, 3 * blockSize), 0)
  content.set(noise(8, 5 * blockSize + 512), 7 * blockSize)
  return content
}

export const trackZero = noise(3, starts.first)
export const bootRecord = noise(4, 512)

/** A disk with an MBR, two partitions, and a boot record between them. */
export function macriumDisk(first = firstContent(), number = 0): MacriumDisk {
  return {
    number,
    size: diskSize,
    trackZero,
    extended: [{ offset: starts.second - 4096, sector: bootRecord, partition: 2 }],
    partitions: [
      { number: 1, start: starts.first, content: first, blockSize },
      { number: 2, start: starts.second, content: secondContent(), blockSize, reserved: 3 * blockSize },
    ],
  }
}

/** All of that disk. */
export function macriumContent(first = firstContent()): Buffer {
  const disk = Buffer.alloc(diskSize)
  disk.set(trackZero, 0)
  disk.set(bootRecord, starts.second - 4096)
  disk.set(first, starts.first)
  disk.set(secondContent(), starts.second)
  return disk
}
