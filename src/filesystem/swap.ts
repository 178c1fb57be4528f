import { bytes, struct, u32, uuid } from '../binary/struct.js'
import type { BlockSource } from '../block/types.js'
import { refused } from '../errors.js'
import { Issues, requireTrustworthy } from './identification.js'
import { setUuid, utf8Label } from './labels.js'
import type { Filesystem, FilesystemFamily, ByteRun, UsedOptions } from './types.js'
import { bytesAt } from './volume-reader.js'

/** The mark lies at the end of the first page, whose length is that of the machine that made it. */
const pageSizes = [4096, 8192, 16384, 32768, 65536]
const markLength = 10
const headPosition = 1024
/** Linux, include/linux/swap.h, union swap_header. The byte order is that of the machine. */
const heads = (['little', 'big'] as const).map((endian) =>
  struct(endian, 44, { version: u32(0), lastPage: u32(4), badPages: u32(8), uuid: uuid(12), label: bytes(28, 16) }),
)
/** A system sleeps in it: swsusp, older ones, and uswsusp. */
const sleeping = ['S1SUSPEND', 'S2SUSPEND', 'ULSUSPEND', 'LINHIB0001']
/** TuxOnIce writes its mark at the very start, and leaves that of the swap area as it is. */
const tuxOnIce = Buffer.from('edc302e99856e50c', 'hex')

/** Swap areas of Linux. */
export const swap: FilesystemFamily = {
  id: 'swap',
  identify: (volume) => {
    const start = bytesAt(volume, 0, tuxOnIce.length)
    const isTuxOnIce = start !== undefined && tuxOnIce.equals(start)
    const marks = pageSizes.flatMap((page) => {
      const bytes = bytesAt(volume, page - markLength, markLength)
      return bytes === undefined ? [] : [{ page, mark: Buffer.from(bytes).toString('latin1') }]
    })
    // A system that sleeps comes first: pages of another length may have left a mark before its own.
    for (const { page, mark } of marks) {
      const image = isTuxOnIce ? 'TuxOnIce' : sleeping.find((known) => mark.startsWith(known))
      const found = image === undefined ? undefined : describe(volume, page, image)
      if (found !== undefined) return [found]
    }
    for (const { page, mark } of marks) {
      if (mark === 'SWAP-SPACE') return [firstVersion(page)]
      const found = mark === 'SWAPSPACE2' ? describe(volume, page, undefined) : undefined
      if (found !== undefined) return [found]
    }
    return []
  },
}

/**
 * The head of a swap area of another size, which is all that its size is written in. @param page bytes of its pages.
 * @param size bytes of the area, a multiple of its pages. @returns what is to stand where in the volume.
 */
export function resizedSwap(
  volume: BlockSource,
  page: number,
  size: number,
): { readonly position: number; readonly bytes: Uint8Array } {
  const bytes = new Uint8Array(44)
  volume.read(headPosition, bytes)
  const layout = heads.find((each) => each.read(bytes).version === 1)
  if (layout === undefined) throw new RangeError('the volume is no swap area')
  return {
    position: headPosition,
    bytes: layout.write({ ...layout.read(bytes), lastPage: Math.min(size / page - 1, 0xffffffff) }, bytes),
  }
}

/** Before Linux 2.2: the first page is a map of pages, and says no more. */
function firstVersion(page: number): Filesystem {
  return {
    type: 'swap',
    title: 'swap',
    kind: 'swap',
    version: '0',
    state: 'unknown',
    blockSize: page,
    facts: [],
    issues: [],
  }
}

/** @param image what wrote the memory of a sleeping system into the area; undefined where none sleeps. */
function describe(volume: BlockSource, page: number, image: string | undefined): Filesystem | undefined {
  const bytes = bytesAt(volume, headPosition, 44)
  const head =
    bytes === undefined
      ? undefined
      : heads.map((layout) => layout.read(bytes)).find(({ version, lastPage }) => version === 1 && lastPage > 0)
  // Memory of a sleeping system is not lost because the head of the area is odd.
  if (head === undefined) return image === undefined ? undefined : asleep(image)
  const size = (head.lastPage + 1) * page
  const issues = new Issues('swap')
  issues.checkSize(size, volume.capacity)
  const text = utf8Label(head.label)
  const id = setUuid(head.uuid)
  return {
    type: image === undefined ? 'swap' : 'swsuspend',
    title: 'swap',
    kind: 'swap',
    version: image === undefined ? '1' : image.toLowerCase(),
    state: image === undefined ? 'clean' : 'hibernated',
    blockSize: page,
    size,
    issues: issues.list,
    label: text,
    uuid: id,
    facts: [
      { name: 'pages', value: head.lastPage, unit: 'count' },
      { name: 'badPages', value: head.badPages, unit: 'count' },
    ],
    usedRuns: (options) =>
      image === undefined ? usedRuns(volume, { page, size }, options) : sleepingRuns(volume, options),
  }
}

/** A swap area in which a system sleeps. */
function asleep(image: string): Filesystem {
  return {
    type: 'swsuspend',
    title: 'swap',
    kind: 'swap',
    version: image.toLowerCase(),
    state: 'hibernated',
    facts: [],
    issues: [],
  }
}

/** All of it: the memory of the system is not left out by any choice. */
function sleepingRuns(volume: BlockSource, { dropSwap = false, allowDirty = false }: UsedOptions = {}): ByteRun[] {
  if (dropSwap && !allowDirty) {
    throw refused('E_FS_DIRTY', 'a system sleeps in the swap area: its memory would be lost', {
      hint: 'Wake it up and shut it down; or copy everything.',
    })
  }
  return [{ offset: 0, length: volume.capacity }]
}

/** Its content matters only while a system sleeps in it; else it is left out by choice. */
function usedRuns(
  volume: BlockSource,
  { page, size }: { readonly page: number; readonly size: number },
  { dropSwap = false }: UsedOptions = {},
): ByteRun[] {
  if (!dropSwap) return [{ offset: 0, length: volume.capacity }]
  requireTrustworthy('swap', { size, volumeSize: volume.capacity, state: 'clean' })
  return [
    { offset: 0, length: page },
    ...(volume.capacity > size ? [{ offset: size, length: volume.capacity - size }] : []),
  ]
}
