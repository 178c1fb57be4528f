import type { FieldRow } from '../../../binary/struct.js'
import type { Fact, Section } from '../../../block/types.js'
import { printable } from '../../../errors.js'
import { versionText } from '../format/entries.js'
import { geometryBytes, timeText } from '../format/layout.js'
import { locatorRows, parentPaths } from '../format/parent-locators.js'
import { dynamicHeader, footer as footerStruct, locatorsAt } from '../format/structs.js'
import type { Structures } from '../format/structures.js'

/** What `info` says of a VHD; every structure's fields are in the sections. */
export function describeImage(structures: Structures): Section[] {
  const sections = [footerSection(structures)]
  if (structures.dynamic !== undefined) sections.push(dynamicSection(structures, structures.dynamic))
  if (structures.subformat === 'differencing' && structures.dynamic !== undefined)
    sections.push(parentSection(structures, structures.dynamic))
  return sections
}

function footerSection({ chosen, subformat }: Structures): Section {
  const { footer, place, footers } = chosen
  const { values } = footer
  const copy = place === 'copy' ? undefined : footers.copy
  return {
    title: 'VHD',
    facts: [
      { name: 'subformat', value: subformat },
      { name: 'creatorApplication', value: printable(values.creatorApplication) },
      { name: 'creatorVersion', value: versionText(values.creatorVersion) },
      { name: 'creatorHostOs', label: 'creator host OS', value: hostOs(values.creatorHostOs) },
      { name: 'timeStamp', label: 'written', value: timeText(values.timeStamp) },
      { name: 'uniqueId', label: 'unique id', value: values.uniqueId },
      { name: 'currentSize', value: values.currentSize, unit: 'bytes' },
      { name: 'originalSize', value: values.originalSize, unit: 'bytes' },
      {
        name: 'geometry',
        label: 'geometry (cylinders/heads/sectors)',
        value: `${values.cylinders}/${values.heads}/${values.sectorsPerTrack}`,
      },
      { name: 'geometrySize', label: 'size by geometry', value: geometryBytes(values), unit: 'bytes' },
      { name: 'fileFormatVersion', value: versionText(values.fileFormatVersion) },
      { name: 'savedState', value: values.savedState !== 0 },
      { name: 'footerPosition', value: footer.position, unit: 'bytes' },
      { name: 'footerChecksumOk', label: 'footer checksum right', value: footer.intact },
      ...(subformat === 'fixed'
        ? []
        : [{ name: 'footerCopy', label: 'copy of the footer', value: copyState(structuresCopy(chosen)) }]),
    ],
    fields: [
      ...prefixed('footer', footerStruct.rows(footer.bytes, footer.position)),
      ...(copy === undefined || subformat === 'fixed'
        ? []
        : prefixed('footerCopy', footerStruct.rows(copy.bytes, copy.position))),
    ],
  }
}

function structuresCopy({
  place,
  footers,
  footer,
}: Structures['chosen']): 'used' | 'missing' | 'damaged' | 'same' | 'different' {
  if (place === 'copy') return 'used'
  if (footers.copy === undefined) return 'missing'
  if (!footers.copy.intact) return 'damaged'
  return Buffer.compare(footers.copy.bytes, footer.bytes) === 0 ? 'same' : 'different'
}

function copyState(state: ReturnType<typeof structuresCopy>): string {
  return state === 'used'
    ? 'used, for the footer itself is missing or damaged'
    : state === 'same'
      ? 'equal to the footer'
      : state
}

function dynamicSection({ capacity }: Structures, dynamic: NonNullable<Structures['dynamic']>): Section {
  const { values, position, bytes } = dynamic
  return {
    title: 'Dynamic header',
    facts: [
      { name: 'position', value: position, unit: 'bytes' },
      { name: 'headerVersion', value: versionText(values.headerVersion) },
      { name: 'blockSize', value: values.blockSize, unit: 'bytes' },
      { name: 'maxTableEntries', label: 'BAT entries', value: values.maxTableEntries, unit: 'count' },
      { name: 'blocksNeeded', label: `blocks for ${capacity} bytes`, value: dynamic.blocks, unit: 'count' },
      { name: 'tableOffset', label: 'BAT position', value: dynamic.tablePosition, unit: 'bytes' },
      { name: 'headerChecksumOk', label: 'header checksum right', value: dynamic.intact },
    ],
    fields: dynamicHeader.rows(bytes, position).filter((row) => row.position !== position + locatorsAt),
  }
}

function parentSection(
  { locators }: Structures,
  { values, bytes, position }: NonNullable<Structures['dynamic']>,
): Section {
  const facts: Fact[] = [
    { name: 'parentUniqueId', label: 'unique id', value: values.parentUniqueId },
    { name: 'parentTimeStamp', label: 'modified', value: timeText(values.parentTimeStamp) },
    { name: 'parentUnicodeName', label: 'name', value: printable(values.parentUnicodeName) },
    ...locators.map(({ index, code, path }) => ({
      name: `locator${index}`,
      label: `locator ${printable(code)}`,
      value: path === undefined ? '(no usable path)' : printable(path),
    })),
    {
      name: 'paths',
      label: 'looked for as',
      value: parentPaths(locators, values.parentUnicodeName).map(printable).join(', '),
    },
  ]
  return { title: 'Parent', facts, fields: locatorRows(bytes, position, locators) }
}

function hostOs(code: string): string {
  const name = { Wi2k: 'Windows', 'Mac ': 'Macintosh' }[code]
  return name === undefined ? printable(code) : `${name} (${code})`
}

function prefixed(prefix: string, rows: readonly FieldRow[]): FieldRow[] {
  return rows.map((row) => ({ ...row, name: `${prefix}.${row.name}` }))
}
