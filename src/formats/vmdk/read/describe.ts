import type { Fact, Section } from '../../../block/types.js'
import type { FieldRow } from '../../../binary/struct.js'
import { printable } from '../../../errors.js'
import { cidText } from '../format/descriptor.js'
import { sectorLength, cowdHeader, seSparseHeader, sparseHeader } from '../format/structs.js'
import { CowdGrains } from './cowd-grains.js'
import type { OpenedParts, SparseFile } from './opening.js'
import { SeSparseGrains } from './se-sparse-grains.js'

/** Keys of the disk database that say something of the disk, and what they are called here. */
const shownKeys: readonly (readonly [key: string, name: string, label: string])[] = [
  ['adaptertype', 'adapterType', 'adapter'],
  ['virtualhwversion', 'hardwareVersion', 'hardware version'],
  ['thinprovisioned', 'thinProvisioned', 'thin provisioned'],
  ['uuid', 'uuid', 'uuid'],
  ['uuid.image', 'imageUuid', 'image uuid'],
  ['uuid.parent', 'parentUuid', 'parent uuid'],
  ['longcontentid', 'longContentId', 'long content id'],
  ['toolsversion', 'toolsVersion', 'tools version'],
  ['logicalsectorsize', 'logicalSectorSize', 'logical sector size'],
  ['physicalsectorsize', 'physicalSectorSize', 'physical sector size'],
  ['iofilters', 'ioFilters', 'I/O filters'],
]
/** Extents that are listed one by one. */
const listedExtents = 64

/** What `info` says of a VMDK. */
export function describeVmdk(parts: OpenedParts): Section[] {
  const sections = [vmdkSection(parts)]
  if (parts.parts.length > 1 || parts.references.length > 0) sections.push(extentSection(parts))
  for (const file of parts.sparse.slice(0, listedExtents)) sections.push(sparseSection(file, parts.sparse.length > 1))
  return sections
}

function vmdkSection({ descriptor }: OpenedParts): Section {
  const { ddb, values, cid, parentCid, version, createType } = descriptor
  const geometry = ['geometry.cylinders', 'geometry.heads', 'geometry.sectors'].map((key) => ddb.get(key))
  const facts: Fact[] = [
    { name: 'createType', label: 'type', value: createType === '' ? '(not recorded)' : printable(createType) },
    { name: 'descriptorVersion', value: Number.isFinite(version) ? version : printable(values.get('version') ?? '') },
    ...(cid === undefined ? [] : [{ name: 'cid', label: 'content id', value: cidText(cid) }]),
    ...(parentCid === undefined
      ? []
      : [{ name: 'parentCid', label: "parent's content id", value: cidText(parentCid) }]),
  ]
  const hint = values.get('parentfilenamehint')
  if (hint !== undefined) facts.push({ name: 'parentFileNameHint', label: 'parent', value: printable(hint) })
  const tracked = values.get('changetrackpath')
  if (tracked !== undefined) facts.push({ name: 'changeTrackPath', label: 'changed blocks', value: printable(tracked) })
  if (geometry.every((value) => value !== undefined))
    facts.push({
      name: 'geometry',
      label: 'geometry (cylinders/heads/sectors)',
      value: printable(geometry.join('/')),
    })
  for (const [key, name, label] of shownKeys) {
    const value = ddb.get(key)
    if (value !== undefined) facts.push({ name, label, value: printable(value) })
  }
  return { title: 'VMDK', facts }
}

function extentSection({ parts }: OpenedParts): Section {
  const facts: Fact[] = [{ name: 'extents', value: parts.length, unit: 'count' }]
  for (const [index, { line }] of parts.slice(0, listedExtents).entries()) {
    const { access, sectors, type, names, offset } = line
    const file = names[0] === undefined ? '' : ` "${printable(names[0])}"`
    facts.push({
      name: `extent${index + 1}`,
      label: `extent ${index + 1}`,
      // As its line in the descriptor has it.
      value: `${access} ${sectors} ${type}${file}${offset === 0 ? '' : ` ${offset}`}`,
    })
  }
  return { title: 'Extents', facts }
}

function sparseSection({ store, kind, grains, layout }: SparseFile, named: boolean): Section {
  const title = { hosted: 'Sparse extent', cowd: 'ESX sparse extent', seSparse: 'SE sparse extent' }[kind]
  const facts: Fact[] = [
    { name: 'capacity', value: grains.capacity, unit: 'bytes' },
    { name: 'grainSize', value: grains.grainSize, unit: 'bytes' },
  ]
  if (layout !== undefined) {
    const { values, compressed, markers, rgdPosition, gdPosition, headerPosition, zeroedGrains } = layout
    facts.push(
      { name: 'version', value: values.version },
      { name: 'tableEntries', label: 'entries of a grain table', value: layout.entriesPerTable, unit: 'count' },
      { name: 'grainDirectory', value: gdPosition, unit: 'bytes' },
      ...(rgdPosition === undefined
        ? []
        : [{ name: 'redundantDirectory', label: 'copy of the directory', value: rgdPosition, unit: 'bytes' as const }]),
      { name: 'compressed', value: compressed },
      { name: 'markers', value: markers },
      { name: 'zeroedGrains', value: zeroedGrains },
      { name: 'uncleanShutdown', value: values.uncleanShutdown !== 0 },
      ...(headerPosition === 0 ? [] : [{ name: 'footer', value: headerPosition, unit: 'bytes' as const }]),
    )
  }
  return { title: named ? `${title} ${store.name}` : title, facts, fields: headerRows({ grains, layout }) }
}

function headerRows({ grains, layout }: Pick<SparseFile, 'grains' | 'layout'>): FieldRow[] {
  if (layout !== undefined) return sparseHeader.rows(layout.bytes.subarray(0, sectorLength), layout.headerPosition)
  if (grains instanceof CowdGrains) return cowdHeader.rows(grains.bytes, 0)
  return grains instanceof SeSparseGrains ? seSparseHeader.rows(grains.bytes, 0) : []
}
