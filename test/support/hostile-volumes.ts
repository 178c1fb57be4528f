/** Volumes whose bytes are changed, and everything that a caller may do with them. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import type { TestContext } from 'node:test'
import type { BlockSource } from '../../src/block/types.js'
import { crc32c } from '../../src/binary/checksum.js'
import { isImageError } from '../../src/errors.js'
import { identifyFilesystems } from '../../src/filesystem/index.js'
import type { FileNode, FileTree } from '../../src/filesystem/types.js'
import { bufferVolume } from './volumes.js'
import { ProcessorTime } from './processor-time.js'

const mebibyte = 1048576

/** Everything a caller may do with a volume; only ImageErrors come out of it. Gives the errors' codes. */
export function explore(volume: BlockSource): Set<string> {
  const codes = new Set<string>()
  const attempt = (work: () => void): void => {
    try {
      work()
    } catch (error) {
      if (!isImageError(error)) throw error
      codes.add(error.code)
    }
  }
  for (const found of identifyFilesystems(volume)) {
    for (const { code } of found.issues) codes.add(code)
    attempt(() => {
      let end = 0
      for (const { offset, length } of found.usedRuns?.({ allowDirty: true }) ?? []) {
        assert.ok(length > 0 && offset >= end && offset + length <= volume.capacity)
        end = offset + length
      }
    })
    attempt(() => {
      const tree = found.openTree?.()
      if (tree !== undefined) walk(tree, tree.root, { left: 400, bytes: 20 * mebibyte }, attempt)
    })
  }
  return codes
}

function walk(
  tree: FileTree,
  folder: FileNode,
  budget: { left: number; bytes: number },
  attempt: (work: () => void) => void,
  depth = 0,
): void {
  attempt(() => {
    for (const entry of tree.entries(folder)) {
      assert.ok(entry.name !== '' && entry.name !== '.' && entry.name !== '..' && !/[/\0]/.test(entry.name))
      if (budget.left-- < 0) return
      attempt(() => {
        const node = entry.open()
        if (node.kind === 'directory' && depth < 5) walk(tree, node, budget, attempt, depth + 1)
        if (node.kind !== 'file' || budget.bytes < 0) return
        let end = 0
        for (const { offset, length } of tree.dataRuns(node)) {
          assert.ok(length > 0 && offset >= end && offset + length <= node.size)
          end = offset + length
          const piece = new Uint8Array(Math.min(length, 100_000))
          budget.bytes -= piece.length
          tree.read(node, offset, piece)
          tree.read(node, offset + length - piece.length, piece)
          if (budget.bytes < 0) break
        }
      })
    }
  })
}

export function timed(volume: BlockSource | Uint8Array, what: string): Set<string> {
  // Of the processor, so that others at work do not count.
  const start = new ProcessorTime()
  const codes = explore(volume instanceof Uint8Array ? bufferVolume(volume) : volume)
  start.atMost(2000, what)
  return codes
}

/** A volume of which single bytes can be changed, and had back as they were. */
export interface Changeable {
  readonly size: number
  set(at: number, value: number): void
  reset(): void
  /** @param capacity bytes of it, when not all. */
  volume(capacity?: number): BlockSource
}

export function changeableBuffer(bytes: Buffer): Changeable {
  const copy = Buffer.from(bytes)
  const changed = new Set<number>()
  return {
    size: bytes.length,
    set: (at, value) => {
      copy[at] = value
      changed.add(at)
    },
    reset: () => {
      for (const at of changed) copy[at] = bytes[at]!
      changed.clear()
    },
    volume: (capacity = bytes.length) => bufferVolume(copy.subarray(0, capacity)),
  }
}

/** The same of a file that is too large to be held in memory. */
export function changeableFile(t: TestContext, path: string): Changeable {
  const file = fs.openSync(path, 'r')
  t.after(() => fs.closeSync(file))
  const changes = new Map<number, number>()
  const { size } = fs.statSync(path)
  return {
    size,
    set: (at, value) => changes.set(at, value),
    reset: () => changes.clear(),
    volume: (capacity = size) => ({
      ...bufferVolume(new Uint8Array(0)),
      capacity,
      read: (offset, target) => {
        if (offset < 0 || offset + target.length > capacity)
          throw new RangeError(`read of ${target.length} bytes at ${offset} of ${capacity}`)
        fs.readSync(file, target, 0, target.length, offset)
        for (const [at, value] of changes) if (at >= offset && at < offset + target.length) target[at - offset] = value
      },
    }),
  }
}

/** Changes bytes where the metadata is, at random places, and cuts the volume; nothing may break. */
export function fuzz(
  changeable: Changeable,
  areas: readonly (readonly [start: number, end: number])[],
  rounds: number,
): void {
  timed(changeable.volume(), 'the volume as it is')
  let state = 12345
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 4) % below
  }
  const values = [0, 1, 0x7f, 0x80, 0xff]
  for (let round = 0; round < rounds; round++) {
    const changed: number[] = []
    const [start, end] = areas[round % areas.length]!
    for (let change = 0; change <= random(4); change++) {
      const at = start + random(end - start)
      for (let index = 0, width = [1, 2, 4, 8][random(4)]!; index < width; index++) {
        changeable.set(at + index, random(2) === 0 ? values[random(values.length)]! : random(256))
        changed.push(at + index)
      }
    }
    timed(changeable.volume(), `round ${round}, bytes ${changed.join()}`)
    changeable.reset()
  }
  for (const capacity of [0, 511, 512, 1024, 4096, 70_000, changeable.size - 513, changeable.size - 1])
    timed(changeable.volume(capacity), `cut to ${capacity}`)
}

/**
 * A changed btrfs volume (nodes of 16 KiB, CRC-32C) whose superblock and nodes have right checksums again: so that what
 * was changed is also used.
 */
export function resealedBtrfs(original: Changeable): Changeable {
  const node = Buffer.alloc(16384)
  const isNode = (bytes: Buffer): boolean => crc32c(bytes.subarray(32)) === bytes.readUInt32LE(0)
  const nodes = new Set<number>()
  const source = original.volume()
  for (let at = mebibyte; at + node.length <= original.size; at += node.length) {
    source.read(at, node)
    if (isNode(node)) nodes.add(at)
  }
  const seal = (bytes: Uint8Array): void => {
    Buffer.from(bytes.buffer, bytes.byteOffset).writeUInt32LE(crc32c(bytes.subarray(32)), 0)
  }
  return {
    ...original,
    volume: (capacity) => {
      const volume = original.volume(capacity)
      return {
        ...volume,
        read: (offset, target) => {
          volume.read(offset, target)
          if (offset === 65536 && target.length === 4096) seal(target)
          // Readers take whole pages, which are as large as nodes.
          for (let at = 0; at + node.length <= target.length; at += node.length)
            if (nodes.has(offset + at)) seal(target.subarray(at, at + node.length))
        },
      }
    },
  }
}
