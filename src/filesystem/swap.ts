import { bytes, struct, u32, uuid } from '../binary/struct.js'
import type { BlockSource } from '../block/types.js'
import { refused } from '../errors.js'
import { Issues, requireTrustworthy } from './identification.js'
import { setUuid, utf8Label } from './labels.js'
import type { Filesystem, FilesystemFamily, Run, UsedOptions } from './types.js'
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

/** Swap areas of Linux. */
export const swap: FilesystemFamily = {
  id: 'swap',
  identify: (volume) => {
    for (const page of pageSizes) {
      const bytes = bytesAt(volume, page - markLength, markLength)
      if (bytes === undefined) return []
      const mark = Buffer.from(bytes).toString('latin1')
      const found =
        mark === 'SWAP-SPACE'
          ? firstVersion(page)
          : mark === 'SWAPSPACE2' || isSleeping(mark)
            ? describe(volume, page, isSleeping(mark))
            : undefined
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

function isSleeping(mark: string): boolean {
  return sleeping.some((known) => mark.startsWith(known))
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

function describe(volume: BlockSource, page: number, hibernated: boolean): Filesystem | undefined {
  const bytes = bytesAt(volume, headPosition, 44)
  const head =
    bytes === undefined
      ? undefined
      : heads.map((layout) => layout.read(bytes)).find(({ version, lastPage }) => version === 1 && lastPage > 0)
  if (head === undefined) return undefined
  const size = (head.lastPage + 1) * page
  const issues = new Issues('swap')
  issues.checkSize(size, volume.capacity)
  const text = utf8Label(head.label)
  const id = setUuid(head.uuid)
  const state = hibernated ? 'hibernated' : 'clean'
  return {
    type: hibernated ? 'swsuspend' : 'swap',
    title: 'swap',
    kind: 'swap',
    version: '1',
    state,
    blockSize: page,
    size,
    issues: issues.list,
    label: text,
    uuid: id,
    facts: [
      { name: 'pages', value: head.lastPage, unit: 'count' },
      { name: 'badPages', value: head.badPages, unit: 'count' },
    ],
    usedRuns: (options) => usedRuns(volume, { page, size, state }, options),
  }
}

/** Its content matters only while a system sleeps in it; else it is left out by choice. */
function usedRuns(
  volume: BlockSource,
  { page, size, state }: { page: number; size: number; state: 'clean' | 'hibernated' },
  { dropSwap = false, allowDirty = false }: UsedOptions = {},
): Run[] {
  if (!dropSwap) return [{ offset: 0, length: volume.capacity }]
  if (state === 'hibernated' && !allowDirty) {
    throw refused('E_FS_DIRTY', 'a system sleeps in the swap area: its memory would be lost', {
      hint: 'Wake it up and shut it down; or copy everything.',
    })
  }
  requireTrustworthy('swap', { size, volumeSize: volume.capacity, state: 'clean' })
  return [
    { offset: 0, length: page },
    ...(volume.capacity > size ? [{ offset: size, length: volume.capacity - size }] : []),
  ]
}
