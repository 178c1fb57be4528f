import { roundUp } from '../../../binary/integers.js'
import { unsupported, usage } from '../../../errors.js'
import type { ParentShape } from '../../driver.js'
import { storedName, qemuFormat } from '../format/backing.js'
import type { Header } from '../format/header.js'
import { maximumNameBytes } from '../format/layout.js'
import { extension } from './header-writer.js'
import { extensionHeader, extensionTypes, headerV2, headerV3 } from '../format/structs.js'
import type { WriteSession } from './write-session.js'

/** A sector is written whole or not at all when the power is cut. */
const sector = 512

/**
 * Another backing file, or none. The name goes where nothing is, then one sector, with the header and the extensions
 * that count, leads to
 * it; the table of feature names, which only holds names of features, may go past that sector and comes
 * back last.
 * @throws ImageError usage E_NOT_A_CHILD, E_PARENT_NAME; unsupported E_HEADER_FULL when the extensions do not fit in a
 * sector
 */
export function relinkDisk(session: WriteSession, parent: ParentShape | undefined): () => void {
  const { file, header } = session
  if (header.backingFile === undefined) throw usage('E_NOT_A_CHILD', `${file.name} has no parent`)
  planHeader(session, parent)
  return () => {
    session.commit()
    session.begin(false)
    // What begin has changed is in the first sector as well.
    const { cluster, name, first, last } = planHeader(session, parent)
    session.guarded(() => {
      const write = (bytes: Uint8Array, from: number, to: number): void => {
        if (to > from) file.write(from, bytes.subarray(from, to))
      }
      if (cluster <= sector) write(last, 0, last.length)
      else {
        write(last, Math.max(name.position, sector), name.position + name.length)
        file.flush()
        write(first, 0, sector)
        file.flush()
        write(last, sector, last.length)
        file.flush()
        write(last, 0, sector)
      }
      file.flush()
      session.reload()
    })
  }
}

interface HeaderPlan {
  readonly cluster: number
  readonly name: { readonly position: number; readonly length: number }
  /**
   * The header cluster without, and with, the table of feature names; both lead to the new name. Not more of it than is
   * used.
   */
  readonly first: Uint8Array
  readonly last: Uint8Array
}

function planHeader({ file, header }: WriteSession, parent: ParentShape | undefined): HeaderPlan {
  const { clusterSize } = header.geometry
  const cluster = new Uint8Array(clusterSize)
  file.read(0, cluster.subarray(0, Math.min(file.size, clusterSize)))
  const old = headerV2.read(cluster)
  const fixed = header.version === 2 ? headerV2.size : headerV3.read(cluster).headerLength
  const { required, all } = extensionsFor(header, cluster, parent)
  const lengthOf = (parts: readonly Uint8Array[]): number => parts.reduce((sum, part) => sum + part.length, fixed)
  const { list, count } = header.extensions
  if (count > list.length || lengthOf(required) > Math.min(sector, clusterSize)) {
    throw unsupported(
      'E_HEADER_FULL',
      `${file.name}: its header extensions take ${lengthOf(required)} bytes, which do not fit with another ` +
        `parent's record into one sector`,
      { hint: 'Convert the image, with --parent.' },
    )
  }
  const text = parent === undefined ? new Uint8Array(0) : storedName(parent)
  const oldName = { start: Number(old.backingFileOffset), end: Number(old.backingFileOffset) + old.backingFileSize }
  const used =
    list.reduce(
      (most, { position, length }) => Math.max(most, roundUp(position + extensionHeader.size + length, 8)),
      fixed,
    ) + extensionHeader.size
  for (const extensions of all === undefined ? [required] : [all, required]) {
    // In the smallest clusters all is one sector.
    const start = clusterSize <= sector ? lengthOf(extensions) : roundUp(Math.max(lengthOf(extensions), used), 8)
    const place =
      clusterSize > sector && start < oldName.end && oldName.start < start + text.length
        ? roundUp(oldName.end, 8)
        : start
    if (text.length > maximumNameBytes || place + text.length > clusterSize) continue
    const length = Math.min(clusterSize, roundUp(Math.max(place + text.length, used, oldName.end), sector))
    const build = (parts: readonly Uint8Array[]): Uint8Array => {
      const bytes = new Uint8Array(length)
      const offset = parent === undefined ? 0n : BigInt(place)
      const changed = { ...old, backingFileOffset: offset, backingFileSize: text.length }
      bytes.set(headerV2.write(changed, cluster.slice(0, headerV2.size)))
      bytes.set(cluster.subarray(headerV2.size, fixed), headerV2.size)
      bytes.set(Buffer.concat(parts), fixed)
      bytes.set(text, place)
      return bytes
    }
    return {
      cluster: clusterSize,
      name: { position: place, length: text.length },
      first: build(required),
      last: build(extensions),
    }
  }
  throw usage(
    'E_PARENT_NAME',
    `${file.name}: the path of the parent has ${text.length} bytes, for which its header has no room`,
    { hint: 'Put the parent nearer to the image, or convert the image with a larger cluster-size.' },
  )
}

/** The extensions that must be there, and all of them with the table of feature names where there is one. */
function extensionsFor(
  { extensions: { list } }: Header,
  cluster: Uint8Array,
  parent: ParentShape | undefined,
): { readonly required: readonly Uint8Array[]; readonly all: readonly Uint8Array[] | undefined } {
  const raw = ({ position, length }: { readonly position: number; readonly length: number }): Uint8Array =>
    cluster.slice(position, position + extensionHeader.size + roundUp(length, 8))
  const format =
    parent === undefined ? [] : [extension(extensionTypes.backingFormat, Buffer.from(qemuFormat(parent.image.format)))]
  const kept = list
    .filter(({ type }) => type !== extensionTypes.backingFormat && type !== extensionTypes.featureNames)
    .map(raw)
  const names = list.find(({ type }) => type === extensionTypes.featureNames)
  const end = new Uint8Array(extensionHeader.size)
  return {
    required: [...format, ...kept, end],
    all: names === undefined ? undefined : [...format, ...kept, raw(names), end],
  }
}
