import type { FieldRow } from '../../binary/struct.js'
import { roundUp } from '../../binary/integers.js'
import { badField, headerBytes } from '../../block/header-bytes.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, hints, unsupported, type ImageError } from '../../errors.js'
import { VerifiedChunks } from './chunks.js'
import { hashAlgorithms, imageHeader, imageMark, securityHeader, securityMark } from './structs.js'

const largestChunk = 16 * 1024 * 1024
const longestManifest = 16 * 1024 * 1024

/** The start of a file. Positions are bytes. */
export interface FfuHeader {
  readonly chunkSize: number
  readonly algorithm: string
  /** What everything from the image header on is read by: it is verified. */
  readonly chunks: VerifiedChunks
  /** What the image says of its disks. */
  readonly manifest: string
  /** Where the headers of the stores begin. */
  readonly storesAt: number
  readonly rows: readonly FieldRow[]
}

/** @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_CHECKSUM; unsupported E_UNSUPPORTED_FEATURE. */
export function readFfuHeader(store: ByteStore): FfuHeader {
  const { name, size } = store
  const bytes = headerBytes(store, securityHeader.size, 'the security header of an FFU image')
  const bad = badField(name)
  const values = securityHeader.read(bytes)
  const { headerSize, signature, chunkSizeInKilobytes, hashAlgorithm, catalogSize, hashTableSize } = values
  if (signature !== securityMark) throw bad('this is no FFU image, or its start is damaged', 4)
  if (headerSize !== securityHeader.size) throw bad(`the security header has ${headerSize} bytes, expected 32`, 0)
  const chunkSize = chunkSizeInKilobytes * 1024
  if (chunkSize === 0 || chunkSize > largestChunk)
    throw bad(`chunks have ${chunkSizeInKilobytes} KiB, expected 1 to 16384`, 16)
  const algorithm = hashAlgorithms[hashAlgorithm]
  if (algorithm === undefined)
    throw unsupported(
      'E_UNSUPPORTED_FEATURE',
      `${name}: hashes of the kind 0x${hashAlgorithm.toString(16)}; SHA-1 and SHA-256 are known`,
      { details: { position: 20 } },
    )
  const tableAt = securityHeader.size + catalogSize
  const start = roundUp(tableAt + hashTableSize, chunkSize)
  if (start + imageHeader.size > size) throw truncated(store, start)
  const chunkCount = Math.ceil((size - start) / chunkSize)
  if (hashTableSize < chunkCount * algorithm.length)
    throw corrupt(
      'E_HEADER',
      `${name}: ${hashTableSize} bytes of hashes are too few for the ${chunkCount} chunks of the file (header byte 28)`,
      { details: { position: 28 } },
    )
  const table = new Uint8Array(chunkCount * algorithm.length)
  store.read(tableAt, table)
  const chunks = new VerifiedChunks(store, { start, chunkSize, algorithm, table })
  const image = new Uint8Array(imageHeader.size)
  chunks.read(start, image)
  const { headerSize: imageSize, signature: mark, manifestLength } = imageHeader.read(image)
  if (mark !== imageMark || imageSize !== imageHeader.size)
    throw corrupt('E_HEADER', `${name}: no image header is at byte ${start}`, { details: { position: start } })
  if (manifestLength > longestManifest || start + imageSize + manifestLength > size)
    throw corrupt('E_HEADER', `${name}: the manifest has ${manifestLength} bytes`, {
      details: { position: start + 16 },
    })
  const manifest = new Uint8Array(manifestLength)
  chunks.read(start + imageSize, manifest)
  return {
    chunkSize,
    algorithm: algorithm.name === 'sha1' ? 'SHA-1' : 'SHA-256',
    chunks,
    manifest: Buffer.from(manifest).toString('utf8'),
    storesAt: roundUp(start + imageSize + manifestLength, chunkSize),
    rows: [...securityHeader.rows(bytes, 0), ...imageHeader.rows(image, start)],
  }
}

export function truncated({ name, size }: ByteStore, position: number): ImageError {
  return corrupt('E_TRUNCATED', `${name}: the file ends at byte ${size}, a part of it begins at byte ${position}`, {
    details: { position, size },
    hint: hints.incomplete,
  })
}

/** The sections of a manifest that are called so, each with its values, by their names in lower case. */
export function manifestSections(manifest: string, wanted: string): ReadonlyMap<string, string>[] {
  const sections: Map<string, string>[] = []
  let current: Map<string, string> | undefined
  for (const line of manifest.split(/\r?\n|\0/)) {
    const title = /^\s*\[([^\]]*)\]/.exec(line)?.[1]
    if (title !== undefined) {
      current = title.trim().toLowerCase() === wanted ? new Map() : undefined
      if (current !== undefined) sections.push(current)
    }
    const [, key, value] = /^\s*([^=[]+?)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (key !== undefined && value !== undefined) current?.set(key.toLowerCase(), value.replace(/^"(.*)"$/, '$1'))
  }
  return sections
}
