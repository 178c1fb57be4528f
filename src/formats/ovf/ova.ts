import { ConcatenatedSource } from '../../block/concatenated.js'
import { RangeSource } from '../../block/range-source.js'
import type { BlockSource, ByteStore } from '../../block/types.js'
import { ZeroSource } from '../../block/zero.js'
import { isTarHeader, isXva } from '../../binary/tar-header.js'
import { corrupt, printable, reference, type ImageError } from '../../errors.js'
import type { Finding, WrappedFile, WrapperDriver } from '../driver.js'
import { longestDescription, type Envelope, type ReferencedFile } from './envelope.js'
import { longestManifest, parseManifest, type DigestedFile, type Manifest } from './manifest.js'
import { openPackage } from './package.js'
import { readTar, type TarMember } from '../../block/tar-archive.js'
import { percentText } from '../../sys/percent.js'

/** Archives of tar: appliances (OVA), boxes of Vagrant, and any other with a disk in it. */
export const ova: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'ova',
  title: 'OVA or tar archive',
  extensions: ['ova', 'box', 'tar'],
  access: 'at any place: the archive stores them as they are',
  probe: (head) => (isTarHeader(head) && !isXva(head) ? 'certain' : 'no'),
  *open(store) {
    const { members, notes } = yield* readTar(store)
    const description = members.find(({ name }) => /\.ovf$/i.test(name))
    if (description === undefined) return { members: members.flatMap((member) => plain(store, member)), notes }
    const archive = new Archive(store, members, description)
    const opened = openPackage({
      label: `${printable(description.name)} in ${store.name}`,
      name: description.name,
      description: bytesOf(store, description, longestDescription),
      manifest: archive.manifest,
      signed: members.some(({ name }) => /\.cert$/i.test(name)),
      memberOf: (file) => archive.memberOf(file),
      digested: (envelope) => archive.digested(envelope),
      findings: orderFindings(members, description),
    })
    return { ...opened, notes: [...notes, ...(opened.notes ?? [])] }
  },
}

function plain(store: ByteStore, member: TarMember): WrappedFile[] {
  const size = member.sparse?.size ?? member.size
  return size === 0 ? [] : [{ name: member.name, size, source: sourceOf(store, member) }]
}

function sourceOf(store: ByteStore, { position, size, problem, sparse }: TarMember): BlockSource {
  if (problem !== undefined) return unreadable(size, problem)
  return sparse === undefined ? new RangeSource(store, position, size) : sparseSource(store, position, sparse)
}

/** Runs of data that are stored one behind the other, with zeros between them. */
function sparseSource(store: ByteStore, position: number, sparse: NonNullable<TarMember['sparse']>): BlockSource {
  const pieces: BlockSource[] = []
  let at = position
  let end = 0
  for (const { offset, length } of sparse.runs) {
    if (offset > end) pieces.push(new ZeroSource(offset - end, 512))
    pieces.push(new RangeSource(store, at, length))
    at += length
    end = offset + length
  }
  if (sparse.size > end) pieces.push(new ZeroSource(sparse.size - end, 512))
  return new ConcatenatedSource(pieces, 512)
}

/** A member that says why it cannot be read when it is: one of no bytes would not be read. */
function unreadable(size: number, error: ImageError): BlockSource {
  const capacity = Math.max(size, 512)
  const fail = (): never => {
    throw error
  }
  return { capacity, sectorSize: 512, grain: 512, extentAt: fail, read: fail, [Symbol.dispose]: () => undefined }
}

/** A small member, whole. @throws ImageError corrupt */
function bytesOf(store: ByteStore, { name, position, size, problem, sparse }: TarMember, most: number): Uint8Array {
  if (problem !== undefined) throw problem
  if (size > most || sparse !== undefined)
    throw corrupt('E_OVF', `${printable(name)} in ${store.name} is sparse, or has more than ${most} bytes`, {
      hint: 'Unpack the archive with tar, and convert its disks one by one.',
    })
  const bytes = new Uint8Array(size)
  store.read(position, bytes)
  return bytes
}

/** The members of an appliance by the names that its description has for them. */
class Archive {
  readonly manifest: Manifest | undefined
  readonly #store: ByteStore
  readonly #members = new Map<string, TarMember>()
  readonly #description: TarMember

  constructor(store: ByteStore, members: readonly TarMember[], description: TarMember) {
    this.#store = store
    this.#description = description
    for (const member of members) if (!this.#members.has(member.name)) this.#members.set(member.name, member)
    const stem = description.name.slice(0, -4)
    const file = this.#members.get(`${stem}.mf`) ?? members.find(({ name }) => /\.mf$/i.test(name))
    if (file !== undefined) this.manifest = parseManifest(bytesOf(store, file, longestManifest), file.name)
  }

  memberOf(file: ReferencedFile): Omit<WrappedFile, 'id' | 'capacity' | 'parent' | 'isBase'> {
    const pieces = this.#piecesOf(file)
    const [first] = pieces
    if (first === undefined) {
      const error = reference(
        'E_REFERENCE_MISSING',
        `the description in ${this.#store.name} names the file ${printable(file.href)}, which ` +
          'the archive does not hold',
        { hint: 'Download the archive again; the disk may have been published beside it.' },
      )
      return { name: file.href, source: unreadable(file.size ?? 0, error) }
    }
    const sources = pieces.map((piece) => sourceOf(this.#store, piece))
    const source = pieces.length === 1 ? sources[0] : undefined
    return { name: file.href, source: source ?? new ConcatenatedSource(sources, 512) }
  }

  /** The description, and every file that it names and that is there. */
  *digested({ files }: Envelope): Generator<DigestedFile> {
    const listed = files.flatMap((file) => this.#piecesOf(file))
    for (const member of new Set([this.#description, ...listed]))
      yield { name: member.name, source: sourceOf(this.#store, member) }
  }

  /** The member of a name, or its pieces `NAME.000000000` … */
  #piecesOf({ href, chunkSize }: ReferencedFile): TarMember[] {
    const whole = this.#members.get(href) ?? this.#members.get(percentText(href))
    if (whole !== undefined) return [whole]
    const pieces: TarMember[] = []
    for (let index = 0; chunkSize !== undefined; index++) {
      const piece = this.#members.get(`${href}.${String(index).padStart(9, '0')}`)
      if (piece === undefined) break
      pieces.push(piece)
    }
    return pieces
  }
}

/** DSP0243, 5.3: the description comes first. */
function orderFindings(members: readonly TarMember[], description: TarMember): Finding[] {
  if (members[0] === description) return []
  return [
    {
      code: 'W_OVF_ORDER',
      severity: 'warning',
      structure: 'archive',
      position: description.position,
      message:
        `the description ${printable(description.name)} is not its first member: ` + "VMware's tools do not import it",
    },
  ]
}
