import { parseGuid } from '../../../binary/guid.js'
import type { FieldRow } from '../../../binary/struct.js'
import { corrupt, printable, reference, unsupported } from '../../../errors.js'
import type { DiskImage, Finding, ParentReference } from '../../driver.js'
import { locatorEntry, locatorHeader, prefixed, vhdxLocatorType } from './structs.js'
import { fromUtf16 } from '../../../sys/host-fs.js'

/** What a differencing disk records of its parent (MS-VHDX 2.6.2.6). */
export interface ParentLocator {
  /** Keys and values as stored, in the file's order. */
  readonly entries: ReadonlyMap<string, string>
  /**
   * DataWriteGuids of the parents that fit: parent_linkage, and parent_linkage2 while a merge is on its way. Lower
   * case, without braces.
   */
  readonly linkages: readonly string[]
  /** The paths in the order in which they are to be tried. */
  readonly paths: readonly string[]
  readonly rows: () => FieldRow[]
}

const pathKeys = ['relative_path', 'volume_path', 'absolute_win32_path'] as const

/** @param what begins every message: file and position. @throws ImageError E_PARENT_LOCATOR */
export function parseParentLocator(item: Uint8Array, what: string, position: number): ParentLocator {
  const fail = (message: string, at: number) =>
    corrupt('E_PARENT_LOCATOR', `${what}: ${message}`, { details: { position: position + at } })
  if (item.length < locatorHeader.size)
    throw fail(`only ${item.length} bytes, its header alone has ${locatorHeader.size}`, 0)
  const { locatorType, keyValueCount } = locatorHeader.read(item)
  if (locatorType !== vhdxLocatorType) {
    throw unsupported(
      'E_PARENT_LOCATOR_TYPE',
      `${what}: type ${locatorType} is unknown, only ${vhdxLocatorType} (a VHDX parent) is known`,
      { details: { position, locatorType } },
    )
  }
  if (locatorHeader.size + keyValueCount * locatorEntry.size > item.length)
    throw fail(`${keyValueCount} entries do not fit in its ${item.length} bytes`, 18)
  const entries = new Map<string, string>()
  for (let index = 0; index < keyValueCount; index++) {
    const at = locatorHeader.size + index * locatorEntry.size
    const entry = locatorEntry.read(item, at)
    const text = (part: string, offset: number, length: number): string => {
      if (offset === 0 || length === 0 || length % 2 !== 0 || offset + length > item.length) {
        throw fail(
          `the ${part} of entry ${index} has offset ${offset} and length ${length}: an even length inside the ` +
            `item's ${item.length} bytes was expected`,
          at,
        )
      }
      return fromUtf16(Buffer.from(item.buffer, item.byteOffset + offset, length).toString('utf16le'))
    }
    const key = text('key', entry.keyOffset, entry.keyLength)
    if (entries.has(key)) throw fail(`the key "${printable(key)}" occurs twice`, at)
    entries.set(key, text('value', entry.valueOffset, entry.valueLength))
  }
  const linkage = entries.get('parent_linkage')
  if (linkage === undefined) throw fail('the key "parent_linkage" is missing', 18)
  const linkages = [linkage, entries.get('parent_linkage2')].flatMap((value) =>
    value === undefined ? [] : [guidOf(value)],
  )
  if (linkages.includes(undefined))
    throw fail(
      `"${printable(linkages[0] === undefined ? linkage : (entries.get('parent_linkage2') ?? ''))}" is no GUID`,
      18,
    )
  const paths = pathKeys.flatMap((key) => entries.get(key) ?? [])
  if (paths.length === 0) throw fail(`none of ${pathKeys.join(', ')} is there`, 18)
  const rows = (): FieldRow[] => [
    ...prefixed('parentLocator', locatorHeader.rows(item, position)),
    ...Array.from({ length: keyValueCount }, (_, index) => locatorHeader.size + index * locatorEntry.size).flatMap(
      (at, index) => prefixed(`parentLocator.entry${index}`, locatorEntry.rows(item.subarray(at), position + at)),
    ),
  ]
  return { entries, linkages: linkages as string[], paths, rows }
}

function guidOf(text: string): string | undefined {
  return parseGuid(text) === undefined ? undefined : text.replace(/[{}]/g, '').toLowerCase()
}

/** The reference that open.ts follows. @param child the file's name for messages. */
export function parentReferenceOf(
  locator: ParentLocator,
  child: string,
  { sectorSize, capacity }: { readonly sectorSize: number; readonly capacity: number },
): ParentReference {
  const identity = locator.linkages[0] ?? ''
  return {
    paths: locator.paths,
    format: 'vhdx',
    identity,
    verify(parent: DiskImage): void {
      const found = parent.identity?.toLowerCase()
      if (parent.format !== 'vhdx' || found === undefined || !locator.linkages.includes(found)) {
        throw reference(
          'E_PARENT_ID',
          `${child}: its parent must have the DataWriteGuid ${locator.linkages.join(' or ')}, the one found ` +
            (`has ${found ?? `none (format ${parent.format})`}: the parent was changed after the child was ` +
              'made, or is another disk'),
          {
            hint:
              'Find the parent as it was when the child was made; --search DIR and --parent-map OLD=NEW say ' +
              'where it may be.',
            details: { expected: identity, found },
          },
        )
      }
      if (parent.sectorSize !== sectorSize) {
        throw reference(
          'E_PARENT_SECTOR',
          `${child}: its logical sector size is ${sectorSize}, that of its parent is ${parent.sectorSize}: ` +
            'they must be equal',
          { details: { expected: sectorSize, found: parent.sectorSize } },
        )
      }
    },
    *check(parent: DiskImage): Generator<Finding> {
      if (parent.capacity === capacity) return
      const effect =
        parent.capacity > capacity
          ? "the end of the parent's is cut off"
          : "what lies behind the end of the parent's and was never written reads as zero"
      yield {
        severity: 'warning',
        code: 'W_PARENT_CAPACITY',
        structure: 'VirtualDiskSize',
        message:
          `the disk has ${capacity} bytes, that of its parent ${parent.capacity}: ${effect}. ` +
          'Windows may refuse the chain',
      }
    },
  }
}

/**
 * The item's bytes for a new child. Keys in the order given. @throws RangeError when a text does not fit in 65,535
 * bytes.
 */
export function buildParentLocator(entries: readonly (readonly [key: string, value: string])[]): Uint8Array {
  const texts = entries.map(([key, value]) => [Buffer.from(key, 'utf16le'), Buffer.from(value, 'utf16le')] as const)
  const start = locatorHeader.size + entries.length * locatorEntry.size
  const item = new Uint8Array(texts.reduce((sum, [key, value]) => sum + key.length + value.length, start))
  item.set(locatorHeader.write({ locatorType: vhdxLocatorType, reserved: 0, keyValueCount: entries.length }))
  let at = start
  for (const [index, [key, value]] of texts.entries()) {
    if (value.length > 65535) throw new RangeError(`parent locator value of ${value.length} bytes`)
    item.set(
      locatorEntry.write({
        keyOffset: at,
        valueOffset: at + key.length,
        keyLength: key.length,
        valueLength: value.length,
      }),
      locatorHeader.size + index * locatorEntry.size,
    )
    item.set(key, at)
    item.set(value, at + key.length)
    at += key.length + value.length
  }
  return item
}
