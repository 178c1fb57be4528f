import { createHash } from 'node:crypto'
import type { BlockSource, Note } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { isImageError, printable } from '../../errors.js'
import type { Finding } from '../driver.js'

/** Bytes that a manifest may have. */
export const longestManifest = 4 * 1024 * 1024

/** The digests of a package's files (DSP0243, 5.1). */
export interface Manifest {
  /** What it is called. */
  readonly name: string
  /** By file name; of two lines for one file the first counts. */
  readonly digests: ReadonlyMap<string, Digest>
  /** Numbers of lines that are none. */
  readonly oddLines: readonly number[]
}

interface Digest {
  readonly algorithm: 'SHA1' | 'SHA256' | 'SHA512'
  readonly hex: string
}

const lengths: Readonly<Record<string, number>> = { SHA1: 40, SHA256: 64, SHA512: 128 }

/** Reads `SHA256(file)= hex`, with blanks wherever programs put them. */
export function parseManifest(bytes: Uint8Array, name: string): Manifest {
  const digests = new Map<string, Digest>()
  const oddLines: number[] = []
  const lines = Buffer.from(bytes)
    .toString('utf8')
    .split(/\r\n|\n|\r/)
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue
    const [, algorithm = '', file, hex = ''] = /^\s*(SHA-?\d+)\s*\((.+)\)\s*=\s*([0-9a-f]+)\s*$/i.exec(line) ?? []
    const known = algorithm.toUpperCase().replace('-', '') as Digest['algorithm']
    if (file === undefined || lengths[known] !== hex.length) oddLines.push(index + 1)
    else if (!digests.has(file)) digests.set(file, { algorithm: known, hex: hex.toLowerCase() })
  }
  return { name, digests, oddLines }
}

/** A file that a manifest should have a line for. */
export interface DigestedFile {
  readonly name: string
  readonly source: BlockSource
}

/** The note about a small file whose digest is another; read at once. */
export function digestNotes(manifest: Manifest, name: string, bytes: Uint8Array): Note[] {
  const digest = manifest.digests.get(name)
  if (digest === undefined || createHash(digest.algorithm).update(bytes).digest('hex') === digest.hex) return []
  return [{ code: 'W_MANIFEST_DIGEST', message: differs(manifest, name, digest) }]
}

function differs({ name: manifest }: Manifest, name: string, { algorithm }: Digest): string {
  return (
    `the ${algorithm} of ${printable(name)} is not the one in ${printable(manifest)}: ` +
    'one of the two was changed, or damaged'
  )
}

/**
 * Holds the files against the manifest: every file has a line, every line a file, and with `deep` all digests are
 * right; without, only those of files of up to 1 MiB.
 */
export function* checkManifest(
  manifest: Manifest,
  files: readonly DigestedFile[],
  { deep }: { readonly deep: boolean },
): Work<void, Finding> {
  const structure = `manifest ${printable(manifest.name)}`
  for (const line of manifest.oddLines.slice(0, 20))
    yield {
      code: 'W_MANIFEST_LINE',
      severity: 'warning',
      structure,
      message: `line ${line} is no digest: SHA1, SHA256 or SHA512 of a file was expected`,
    }
  const names = new Set(files.map(({ name }) => name))
  for (const name of manifest.digests.keys())
    if (!names.has(name))
      yield {
        code: 'W_MANIFEST_FILE',
        severity: 'warning',
        structure,
        message: `it has a digest of ${printable(name)}, which is not there`,
      }
  const total = files.reduce((sum, { source }) => sum + source.capacity, 0)
  let before = 0
  for (const { name, source } of files) {
    const digest = manifest.digests.get(name)
    if (digest === undefined)
      yield {
        code: 'W_MANIFEST_NO_LINE',
        severity: 'warning',
        structure,
        message: `it has no digest of ${printable(name)}`,
      }
    else if (deep || source.capacity <= pieceLength) {
      const finding = yield* digestFinding(manifest, name, digest, source, { before, total })
      if (finding !== undefined) yield { ...finding, structure }
    }
    before += source.capacity
  }
}

/** Holds files against their digests, as far as the manifest has any. */
export function* checkDigests(manifest: Manifest, files: readonly DigestedFile[]): Work<void, Finding> {
  const total = files.reduce((sum, { source }) => sum + source.capacity, 0)
  let before = 0
  for (const { name, source } of files) {
    const digest = manifest.digests.get(name)
    const finding =
      digest === undefined ? undefined : yield* digestFinding(manifest, name, digest, source, { before, total })
    if (finding !== undefined) yield { ...finding, structure: `manifest ${printable(manifest.name)}` }
    before += source.capacity
  }
}

const pieceLength = 1048576

function* digestFinding(
  manifest: Manifest,
  name: string,
  digest: Digest,
  source: BlockSource,
  { before, total }: { readonly before: number; readonly total: number },
): Work<Omit<Finding, 'structure'> | undefined> {
  const hash = createHash(digest.algorithm)
  const bytes = new Uint8Array(Math.min(pieceLength, source.capacity))
  try {
    for (let done = 0; done < source.capacity;) {
      const piece = bytes.subarray(0, Math.min(bytes.length, source.capacity - done))
      source.read(done, piece)
      hash.update(piece)
      done += piece.length
      yield { done: before + done, total }
    }
  } catch (error) {
    if (!isImageError(error)) throw error
    return { code: error.code, severity: 'error', message: error.message }
  }
  return hash.digest('hex') === digest.hex
    ? undefined
    : { code: 'E_MANIFEST_DIGEST', severity: 'error', message: differs(manifest, name, digest) }
}
