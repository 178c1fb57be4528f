import type { Work } from '../../../block/work.js'
import type { ByteStore } from '../../../block/types.js'
import { printable, type ImageError } from '../../../errors.js'
import type { Finding } from '../../driver.js'
import type { Descriptor, ExtentLine } from '../format/descriptor.js'
import { sectorLength } from '../format/structs.js'
import { checkSparse, type CheckedFile } from './check-sparse.js'

/** What a check looks at. */
export interface CheckedImage {
  readonly descriptor: Descriptor
  readonly parts: readonly { readonly line: ExtentLine; readonly store: ByteStore | undefined }[]
  readonly sparse: readonly CheckedFile[]
  readonly unreadable: ImageError | undefined
}

/** All that is wrong with an image: descriptor, extents, tables. */
export function* checkVmdk(image: CheckedImage): Work<void, Finding> {
  const { unreadable, sparse } = image
  if (unreadable !== undefined) {
    yield { severity: 'error', code: unreadable.code, structure: 'footer', message: unreadable.message }
    return
  }
  yield* checkDescriptor(image)
  yield* checkFlat(image)
  for (const file of sparse) yield* checkSparse(file, sparse.length > 1 ? `${file.store.name}: ` : '')
}

function* checkDescriptor({ descriptor, parts }: CheckedImage): Generator<Finding> {
  const { unknown, cid, values } = descriptor
  if (unknown[0] !== undefined)
    yield {
      severity: 'warning',
      code: 'W_DESCRIPTOR_LINE',
      structure: 'descriptor',
      message: `${unknown.length} lines are none that are known; the first is "${printable(unknown[0].slice(0, 80))}"`,
    }
  if (cid === undefined && descriptor.kind !== 'extent')
    yield {
      severity: 'warning',
      code: 'W_CONTENT_ID',
      structure: 'descriptor',
      message:
        `the content id (CID) is ${values.has('cid') ? 'no number' : 'missing'}: children cannot ` +
        `recognise the disk`,
    }
  const ranges = parts
    .filter(({ line, store }) => store !== undefined && (line.type === 'FLAT' || line.type === 'VMFS'))
    .map(({ line, store }) => ({ line, store, start: line.offset, end: line.offset + line.sectors }))
    .sort((one, other) => one.start - other.start)
  const ends = new Map<ByteStore | undefined, { readonly end: number; readonly line: number }>()
  for (const { line, store, start, end } of ranges) {
    const before = ends.get(store)
    if (before !== undefined && before.end > start)
      yield {
        severity: 'warning',
        code: 'W_EXTENTS_OVERLAP',
        structure: `descriptor, line ${line.line}`,
        message:
          `the extent shares sectors of its file with that of line ${before.line}: what is written to ` +
          `one changes both`,
      }
    if (before === undefined || end > before.end) ends.set(store, { end, line: line.line })
  }
}

function* checkFlat({ parts }: CheckedImage): Generator<Finding> {
  for (const { line, store } of parts) {
    if (store === undefined || (line.type !== 'FLAT' && line.type !== 'VMFS')) continue
    const needed = (line.offset + line.sectors) * sectorLength
    if (store.size < needed)
      yield {
        severity: 'error',
        code: 'E_TRUNCATED',
        structure: `extent of line ${line.line}`,
        message: `${store.name} has ${store.size} bytes, and the extent ends at byte ${needed} of it`,
      }
  }
}
