import type { Work } from '../../../block/work.js'
import type { ByteStore } from '../../../block/types.js'
import type { RepairAction } from '../../driver.js'
import { checkQcow2, countingBytes } from './check.js'
import { bitsOf, withBits } from '../../../binary/flags.js'
import { readHeader } from '../format/header.js'
import { mendEntries, mendFlags } from './repair-entries.js'
import { clearAutoclear, clearStates, dropBitmaps, endExtensions } from './repair-header.js'
import { mendRefcounts, rebuildRefcounts } from './repair-refcounts.js'
import { mendSnapshots } from './repair-snapshots.js'
import { readableSnapshots } from '../format/snapshots.js'
import { autoclear } from '../format/structs.js'
import type { ImageParts } from '../format/owners.js'

/** What a check found, as far as a repair must know it. */
interface Survey {
  readonly codes: ReadonlySet<string>
  readonly errors: number
  /**
   * Clusters with owners that cannot share them: nothing is written to tables there. Undefined when they are too many
   * to know.
   */
  readonly overlaps: ReadonlySet<number> | undefined
  /**
   * Refcount structures must move: they lie upon others, cannot hold what they should, or are not where the table says.
   */
  readonly rebuild: boolean
  /** Entries lead nowhere: what nothing uses now may be what they should lead to, and is not given away. */
  readonly lost: boolean
}

const mostOverlaps = 65536
const rebuildCodes: ReadonlySet<string> = new Set(['E_REFCOUNT_TABLE', 'E_REFCOUNT_MISSING'])
const mendableCodes: ReadonlySet<string> = new Set([
  ...rebuildCodes,
  'E_REFCOUNT',
  'L_REFCOUNT',
  'E_COPIED',
  'E_RESERVED_BITS',
  'E_BITMAPS',
  'W_BITMAPS_STALE',
  'E_HEADER_EXTENSION',
])
const lostCodes: ReadonlySet<string> = new Set([
  'E_L1_ENTRY',
  'E_L2_ENTRY',
  'E_TRUNCATED',
  'E_SNAPSHOT_TABLE',
  'E_TOO_LARGE',
  'E_CRYPTO_HEADER',
])

/**
 * Mends a QCOW2 file without changing what any of its disks holds: refcounts are made those of the use that the tables
 * make of the
 * clusters, flags those of the refcounts, bitmaps that cannot be trusted are dropped. Tables are never guessed. Each
 * step leaves an image that is no worse.
 * @throws ImageError as opening does; a refcount table that is nowhere is no obstacle.
 */
export function* repairQcow2(store: ByteStore, budget = countingBytes): Work<void, RepairAction> {
  let imageParts = anatomyOf(store)
  let survey = yield* look(imageParts, budget)
  const before = yield* repairBefore(imageParts, survey, budget)
  if (before) {
    imageParts = anatomyOf(store)
    survey = yield* look(imageParts, budget)
  }
  const { codes, rebuild, lost: keepLeaks } = survey
  const widen = codes.has('E_REFCOUNT_OVERFLOW') && imageParts.header.version === 3
  let changed = before
  if (rebuild || widen) {
    yield* rebuildRefcounts(imageParts, { budget, keepLeaks, widen })
    changed = true
  } else if (codes.has('E_REFCOUNT') || codes.has('L_REFCOUNT'))
    changed = (yield* mendRefcounts(imageParts, { budget, keepLeaks })) || changed
  if (changed || codes.has('E_COPIED')) {
    imageParts = anatomyOf(store)
    changed = (yield* mendFlags(imageParts, survey.overlaps)) || changed
  }
  if (!imageParts.header.dirty && !imageParts.header.corrupt) return
  const after = changed ? yield* look(imageParts, budget) : survey
  const sound = ![...after.codes].some((code) => code.startsWith('E_REFCOUNT'))
  yield* clearStates(imageParts, { dirty: sound, corrupt: after.errors === 0 })
}

function anatomyOf(store: ByteStore): ImageParts {
  const header = readHeader(store, 'mend')
  const { snapshots, fault } = readableSnapshots(store, header)
  return { store, header, snapshots, snapshotFault: fault, data: header.dataFile ? undefined : store }
}

/** What changes the use of clusters, and therefore comes first. Gives whether anything was done. */
function* repairBefore(
  imageParts: ImageParts,
  { codes, overlaps }: Survey,
  budget: number,
): Work<boolean, RepairAction> {
  const { header } = imageParts
  let bits = bitsOf(header.autoclearFeatures)
  const clear = function* (unwanted: (bit: number) => boolean, code: string, why: string): Generator<RepairAction> {
    const cleared = bits.filter(unwanted)
    if (cleared.length === 0) return
    bits = bits.filter((bit) => !unwanted(bit))
    yield* clearAutoclear(
      { ...imageParts, header: { ...header, autoclearFeatures: withBits([...bits, ...cleared]) } },
      cleared,
      code,
      why,
    )
  }
  const ended = yield* endExtensions(imageParts)
  const left = yield* mendSnapshots(imageParts, budget)
  const before = bits.length
  const known: readonly number[] = Object.values(autoclear)
  if (header.dirty || header.corrupt || [...codes].some((code) => mendableCodes.has(code))) {
    yield* clear(
      (bit) => !known.includes(bit),
      'W_AUTOCLEAR',
      'what it stands for is not known, and may not be so after the repair',
    )
  }
  if (!header.dataFile)
    yield* clear((bit) => bit === autoclear.rawDataFile, 'W_RAW_DATA_FILE', 'there is no external data file')
  if (header.extensions.bitmaps === undefined)
    yield* clear((bit) => bit === autoclear.bitmaps, 'W_BITMAPS', 'there are no bitmaps')
  const damaged = codes.has('E_BITMAPS')
  if (damaged) yield* clear((bit) => bit === autoclear.bitmaps, 'E_BITMAPS', 'the bitmaps are damaged')
  const dropped =
    damaged || codes.has('W_BITMAPS_STALE')
      ? yield* dropBitmaps(imageParts, damaged ? 'E_BITMAPS' : 'W_BITMAPS_STALE')
      : false
  const mended =
    codes.has('E_RESERVED_BITS') || codes.has('E_L2_ENTRY') ? yield* mendEntries(imageParts, overlaps) : false
  return bits.length < before || ended || left || dropped || mended
}

function* look(imageParts: ImageParts, budget: number): Work<Survey> {
  const codes = new Set<string>()
  const { clusterSize } = imageParts.header.geometry
  let overlaps: Set<number> | undefined = new Set()
  let errors = 0
  let rebuild = false
  for (const item of checkQcow2(imageParts, false, budget)) {
    if (!('severity' in item)) {
      yield item
      continue
    }
    const { code, severity, position = 0, message } = item
    codes.add(code)
    if (severity === 'error') errors++
    if (code === 'E_OVERLAP') {
      overlaps?.add(Math.floor(position / clusterSize))
      if (overlaps !== undefined && overlaps.size > mostOverlaps) overlaps = undefined
      if (message.includes('refcount ')) rebuild = true
    }
  }
  return {
    codes,
    errors,
    overlaps,
    rebuild: rebuild || [...codes].some((code) => rebuildCodes.has(code)),
    lost: [...codes].some((code) => lostCodes.has(code)),
  }
}
