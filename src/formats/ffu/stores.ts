import { moveNumbers } from '../../binary/move-numbers.js'
import { roundUp, viewOf } from '../../binary/integers.js'
import { NumberedPlaces } from '../../binary/numbered-places.js'
import { SparseBits } from '../../binary/sparse-bits.js'
import type { FieldRow, StructValues } from '../../binary/struct.js'
import { corrupt, unsupported, type ImageError } from '../../errors.js'
import { manifestSections, truncated, type FfuHeader } from './header.js'
import { accessMethod, storeHeader, storeHeaderRest } from './structs.js'

const mostStores = 64
const longestDescriptors = 256 * 1024 * 1024
const largestBlock = 16 * 1024 * 1024

/** A disk of the image. Sizes are bytes. */
export interface FfuStore {
  readonly version: 1 | 2
  readonly blockSize: number
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  /** Whether the image says how large the disk is. */
  readonly isSized: boolean
  readonly platforms: readonly string[]
  readonly devicePath: string
  /** Where each block of the disk that is stored lies in the file. */
  readonly blocks: NumberedPlaces
  readonly rows: readonly FieldRow[]
}

interface Descriptors {
  /** For each place on the disk: which block, from the start or from the end, and which block of the payload it is. */
  readonly blocks: Uint32Array
  readonly fromEnd: Uint8Array
  readonly payload: Uint32Array
  readonly count: number
  /** Blocks of the payload. */
  readonly stored: number
}

interface Head {
  readonly version: 1 | 2
  readonly blockSize: number
  readonly platforms: readonly string[]
  readonly devicePath: string
  readonly payloadSize: number | undefined
  readonly descriptors: Descriptors
  readonly rows: readonly FieldRow[]
}

/**
 * The headers of all disks stand one behind the other, and then what they hold.
 * @throws ImageError corrupt; unsupported E_VERSION, E_UNSUPPORTED_FEATURE.
 */
export function readStores(header: FfuHeader): readonly FfuStore[] {
  const { chunks, manifest, chunkSize } = header
  const heads: Head[] = []
  let at = header.storesAt
  for (let count = 1; heads.length < count;) {
    const { head, end, stores } = readHead(header, at, heads.length + 1)
    heads.push(head)
    count = stores
    at = roundUp(end, Math.max(chunkSize, head.blockSize))
  }
  const sections = manifestSections(manifest, 'store')
  return heads.map((head, index) => {
    const { stored } = head.descriptors
    const size = stored * head.blockSize
    if (head.payloadSize !== undefined && head.payloadSize !== size)
      throw corrupt(
        'E_MAP',
        `${chunks.name}: store ${index + 1} has ${head.payloadSize} bytes, its descriptors are for ${size}`,
      )
    if (at + size > chunks.size) throw truncated(chunks, at + size)
    const store = placed(head, at, sections[index], chunks.name)
    at = roundUp(at + size, chunkSize)
    return store
  })
}

function readHead(
  { chunks }: FfuHeader,
  at: number,
  expected: number,
): { readonly head: Head; readonly end: number; readonly stores: number } {
  const { name, size } = chunks
  if (at + storeHeader.size > size) throw truncated(chunks, at)
  const bytes = new Uint8Array(storeHeader.size)
  chunks.read(at, bytes)
  const values = storeHeader.read(bytes)
  const fault = faultAt(name, at)
  assertReadable(values, name, at)
  const { blockSize, majorVersion } = values
  const { writeDescriptorCount, writeDescriptorLength, validateDescriptorLength } = values
  const version = majorVersion === 2 ? 2 : 1
  let position = at + storeHeader.size
  let rest: { readonly stores: number; readonly payloadSize: number | undefined; readonly devicePath: string }
  rest = { stores: 1, payloadSize: undefined, devicePath: '' }
  const rows = [...storeHeader.rows(bytes, at)]
  if (version === 2) {
    const more = new Uint8Array(storeHeaderRest.size)
    chunks.read(position, more)
    const { stores, storeIndex, payloadSize, devicePathLength } = storeHeaderRest.read(more)
    rows.push(...storeHeaderRest.rows(more, position))
    if (stores === 0 || stores > mostStores || storeIndex !== expected)
      throw fault(`this is store ${storeIndex} of ${stores}, expected ${expected}`, storeHeader.size)
    const path = new Uint8Array(2 * devicePathLength)
    chunks.read(position + storeHeaderRest.size, path)
    rest = { stores, payloadSize, devicePath: Buffer.from(path).toString('utf16le') }
    position += storeHeaderRest.size + path.length
  }
  position += validateDescriptorLength
  if (writeDescriptorLength > longestDescriptors) throw fault(`${writeDescriptorLength} bytes of descriptors`, 212)
  if (position + writeDescriptorLength > size) throw truncated(chunks, position)
  const descriptors = new Uint8Array(writeDescriptorLength)
  chunks.read(position, descriptors)
  const platforms = Buffer.from(values.platformIds).toString('latin1').split('\0')
  return {
    head: {
      version,
      blockSize,
      platforms: platforms.filter((text) => text !== ''),
      devicePath: rest.devicePath,
      payloadSize: rest.payloadSize,
      descriptors: readDescriptors(descriptors, writeDescriptorCount, name),
      rows,
    },
    end: position + writeDescriptorLength,
    stores: rest.stores,
  }
}

/** Makes the errors of fields of a store's header. @param at where it begins in the file, in bytes. */
function faultAt(name: string, at: number): (message: string, position: number) => ImageError {
  return (message, position) =>
    corrupt('E_HEADER', `${name}: ${message} (byte ${at + position})`, { details: { position: at + position } })
}

/** @throws ImageError unsupported E_UNSUPPORTED_FEATURE, E_VERSION; corrupt E_HEADER. */
function assertReadable(values: StructValues<typeof storeHeader>, name: string, at: number): void {
  const { majorVersion, fullFlashMajorVersion, updateType, blockSize } = values
  if (majorVersion === 1 && fullFlashMajorVersion === 3)
    throw unsupported('E_UNSUPPORTED_FEATURE', `${name} is a compressed FFU image, whose layout is not published`, {
      hint: 'Apply it to a virtual disk with DISM (/Apply-Ffu), or capture it with /Compress:none.',
    })
  if ((majorVersion !== 1 && majorVersion !== 2) || fullFlashMajorVersion !== 2)
    throw unsupported('E_VERSION', `${name}: version ${majorVersion} (${fullFlashMajorVersion}); 1 and 2 are known`, {
      details: { position: at + 4 },
    })
  if (updateType !== 0)
    throw unsupported('E_UNSUPPORTED_FEATURE', `${name} is an update of parts of a disk, not a whole one`)
  if (blockSize === 0 || blockSize > largestBlock || blockSize % 512 !== 0)
    throw faultAt(name, at)(`blocks have ${blockSize} bytes, expected a multiple of 512 up to 16 MiB`, 204)
}

function readDescriptors(bytes: Uint8Array, expected: number, name: string): Descriptors {
  const view = viewOf(bytes)
  // Each place takes eight bytes; one of several blocks becomes several places.
  const most = longestDescriptors / 8
  let room = Math.ceil(bytes.length / 8)
  let blocks = new Uint32Array(room)
  let fromEnd = new Uint8Array(room)
  let payload = new Uint32Array(room)
  let count = 0
  let stored = 0
  let at = 0
  const fault = (): ImageError =>
    corrupt('E_MAP', `${name}: the ${expected} descriptors of its blocks do not fit their ${bytes.length} bytes`)
  for (let entry = 0; entry < expected; entry++) {
    if (at + 8 > bytes.length) throw fault()
    const locations = view.getUint32(at, true)
    const length = view.getUint32(at + 4, true)
    at += 8
    if (at + 8 * locations > bytes.length || count + locations * length > most || stored + length > 2 ** 32 - 1)
      throw fault()
    while (count + locations * length > room) {
      room = Math.min(most, 2 * room + 64)
      blocks = moveNumbers(blocks, new Uint32Array(room))
      fromEnd = moveNumbers(fromEnd, new Uint8Array(room))
      payload = moveNumbers(payload, new Uint32Array(room))
    }
    for (let location = 0; location < locations; location++, at += 8) {
      const method = view.getUint32(at, true)
      const first = view.getUint32(at + 4, true)
      if (method !== accessMethod.begin && method !== accessMethod.end)
        throw corrupt('E_MAP', `${name}: a block is counted from a place of the kind ${method}; 0 and 2 are known`)
      for (let index = 0; index < length; index++) {
        blocks[count] = method === accessMethod.end ? first - index : first + index
        fromEnd[count] = method === accessMethod.end ? 1 : 0
        payload[count] = stored + index
        count++
      }
    }
    stored += length
  }
  if (at !== bytes.length) throw fault()
  return { blocks, fromEnd, payload, count, stored }
}

/** How many blocks from the start and from the end are spoken of. */
function reach({ blocks, fromEnd, count }: Descriptors): { readonly front: number; readonly behind: number } {
  let front = 0
  let behind = 0
  for (let place = 0; place < count; place++)
    if (fromEnd[place] === 1) behind = Math.max(behind, (blocks[place] ?? 0) + 1)
    else front = Math.max(front, (blocks[place] ?? 0) + 1)
  return { front, behind }
}

/** Of places that are written more than once the last counts. */
function placed(
  { descriptors, blockSize, version, platforms, devicePath, rows }: Head,
  payloadAt: number,
  section: ReadonlyMap<string, string> | undefined,
  name: string,
): FfuStore {
  const { blocks, fromEnd, payload, count } = descriptors
  const sectorSize = Number(section?.get('sectorsize') ?? '512') === 4096 ? 4096 : 512
  const recorded = Number(section?.get('minsectorcount') ?? '0') * sectorSize
  const { front, behind } = reach(descriptors)
  const isSized = Number.isSafeInteger(recorded) && recorded > 0
  const capacity = isSized ? recorded : (front + behind) * blockSize
  const total = Math.floor(capacity / blockSize)
  if (capacity === 0 || front > Math.ceil(capacity / blockSize) || behind > total)
    throw corrupt('E_MAP', `${name}: a block lies outside the disk of ${capacity} bytes`)
  if (behind > 0 && capacity % blockSize !== 0)
    throw unsupported(
      'E_UNSUPPORTED_FEATURE',
      `${name}: blocks are counted from the end of a disk that is no multiple of ${blockSize} bytes`,
    )
  const seen = new SparseBits()
  const places = new NumberedPlaces()
  for (let place = count - 1; place >= 0; place--) {
    const index = blocks[place] ?? 0
    const block = fromEnd[place] === 1 ? total - 1 - index : index
    if (seen.add(block)) places.add(block, payloadAt + (payload[place] ?? 0) * blockSize, 0)
  }
  places.finish()
  return { version, blockSize, capacity, sectorSize, isSized, platforms, devicePath, blocks: places, rows }
}
