import { createHash, hash } from 'node:crypto'
import { isZero } from '../binary/zero.js'

/**
 * The digest `tree1` (docs/tree-hash.md): the Merkle Tree Hash of RFC 6962, section 2.1, with SHA-256, over the disk
 * cut into leaves of
 * 64 KiB. Whole subtrees of zeros have known digests, so that holes cost nothing.
 */
export const leafLength = 65536
/** Leaves of one subtree that is worked out at once; a power of two. */
const leavesPerBlock = 16
/** Bytes of a block: what one task hashes. */
export const blockLength = leavesPerBlock * leafLength
const blockLevel = Math.log2(leavesPerBlock)

const leafPrefix = new Uint8Array([0])
const nodePrefix = 1

function leafDigest(leaf: Uint8Array): Uint8Array {
  return createHash('sha256').update(leafPrefix).update(leaf).digest()
}

/** What a node is the digest of: its prefix, and the digests of its two children. */
const node = new Uint8Array(1 + 2 * 32)
node[0] = nodePrefix

function nodeDigest(left: Uint8Array, right: Uint8Array): Uint8Array {
  node.set(left, 1)
  node.set(right, 1 + left.length)
  // In one call: an object for each of so short inputs takes twice as long as its digest.
  return hash('sha256', node, 'buffer')
}

/** Digests of subtrees of 2^level leaves of zeros, by level. */
const zeroTrees: Uint8Array[] = []

function zeroTree(level: number): Uint8Array {
  let known = zeroTrees[level]
  if (known === undefined) {
    const below = level === 0 ? undefined : zeroTree(level - 1)
    zeroTrees[level] = known = below === undefined ? leafDigest(new Uint8Array(leafLength)) : nodeDigest(below, below)
  }
  return known
}

/** The digest of one block, or of the shorter last one. */
export function blockDigest(bytes: Uint8Array): Uint8Array {
  return joinDigests(leavesOf(bytes).map(({ digest }) => digest))
}

function leavesOf(bytes: Uint8Array): { readonly digest: Uint8Array; readonly zero: boolean }[] {
  const leaves = []
  for (let at = 0; at < bytes.length; at += leafLength) {
    const leaf = bytes.subarray(at, Math.min(bytes.length, at + leafLength))
    const zero = isZero(leaf)
    leaves.push({ digest: zero && leaf.length === leafLength ? zeroTree(0) : leafDigest(leaf), zero })
  }
  return leaves
}

/**
 * The digests of neighbouring parts of a disk as one; each part has the same power of two of leaves, but for the last,
 * which may have less.
 */
function joinDigests(parts: readonly Uint8Array[]): Uint8Array {
  let level = parts
  // Pairing neighbours and carrying an odd one up gives the RFC's split at the largest power of two.
  while (level.length > 1) {
    const above: Uint8Array[] = []
    for (let index = 0; index < level.length; index += 2) {
      const [left, right] = [level[index], level[index + 1]]
      if (left !== undefined) above.push(right === undefined ? left : nodeDigest(left, right))
    }
    level = above
  }
  // The hash of nothing, by the RFC.
  return level[0] ?? createHash('sha256').digest()
}

/** Bytes of a digest. */
export const treeDigestLength = 32

/**
 * The digests of the parts of a piece of a disk, one behind the other: of each what the tree has for it, or zeros where
 * all of the part is zero. @param length bytes of a part: leaves of the tree, a power of two of them.
 */
export function partDigests(bytes: Uint8Array, length: number): Uint8Array {
  const digests = new Uint8Array(Math.ceil(bytes.length / length) * treeDigestLength)
  for (let at = 0, index = 0; at < bytes.length; at += length, index++) {
    const leaves = leavesOf(bytes.subarray(at, Math.min(bytes.length, at + length)))
    if (leaves.every(({ zero }) => zero)) continue
    digests.set(joinDigests(leaves.map(({ digest }) => digest)), index * treeDigestLength)
  }
  return digests
}

/**
 * The digest of a piece of a disk, at most a block, by those of its parts.
 * @param parts as {@link partDigests} gives them. @param length bytes of a part. @param bytes of the piece.
 */
export function digestOfParts(parts: Uint8Array, length: number, bytes: number): Uint8Array {
  const digests: Uint8Array[] = []
  for (let at = 0, index = 0; at < bytes; at += length, index++) {
    const digest = parts.subarray(index * treeDigestLength, (index + 1) * treeDigestLength)
    digests.push(isZero(digest) ? zerosDigest(Math.min(length, bytes - at)) : digest)
  }
  return joinDigests(digests)
}

/** The digest of `length` bytes of zeros. */
function zerosDigest(length: number): Uint8Array {
  const level = Math.log2(length / leafLength)
  return Number.isInteger(level) && level >= 0 ? zeroTree(level) : blockDigest(new Uint8Array(length))
}

/** Puts a disk's digest together from those of its blocks, given in order. Keeps one digest a level. */
export class TreeHash {
  readonly #capacity: number
  /** Complete subtrees, the leftmost and largest first. */
  readonly #trees: { readonly level: number; readonly digest: Uint8Array }[] = []
  /** The shorter last block. */
  #last: Uint8Array | undefined
  #blocks = 0

  /** @param capacity bytes of the disk. */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Takes the digest of the block at `offset`; blocks that were left out before it are zero. */
  add(offset: number, digest: Uint8Array): void {
    this.#zerosTo(Math.floor(offset / blockLength))
    if (offset + blockLength > this.#capacity) this.#last = digest
    else this.#append(blockLevel, digest)
  }

  /** The digest of the disk. */
  digest(): Uint8Array {
    const whole = Math.floor(this.#capacity / blockLength)
    this.#zerosTo(whole)
    const rest = this.#capacity - whole * blockLength
    let result = this.#last ?? (rest > 0 ? blockDigest(new Uint8Array(rest)) : undefined)
    for (const { digest } of [...this.#trees].reverse())
      result = result === undefined ? digest : nodeDigest(digest, result)
    return (result ?? blockDigest(new Uint8Array(0))).subarray(0, treeDigestLength)
  }

  /** Appends blocks of zeros up to block `end`, in the largest subtrees that begin and end at their own multiples. */
  #zerosTo(end: number): void {
    while (this.#blocks < end) {
      let level = 0
      while (this.#blocks % 2 ** (level + 1) === 0 && this.#blocks + 2 ** (level + 1) <= end) level++
      this.#append(blockLevel + level, zeroTree(blockLevel + level))
    }
  }

  #append(level: number, digest: Uint8Array): void {
    this.#blocks += 2 ** (level - blockLevel)
    let tree = { level, digest }
    for (let last = this.#trees.at(-1); last?.level === tree.level; last = this.#trees.at(-1)) {
      this.#trees.pop()
      tree = { level: tree.level + 1, digest: nodeDigest(last.digest, tree.digest) }
    }
    this.#trees.push(tree)
  }
}
