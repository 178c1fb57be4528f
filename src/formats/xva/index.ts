import { isXva, tarBlock } from '../../binary/tar-header.js'
import { roundUp } from '../../binary/integers.js'
import { walkTar, type TarMember } from '../../block/tar-archive.js'
import type { ByteStore, Note } from '../../block/types.js'
import { corrupt, printable, type ImageError } from '../../errors.js'
import type { WrapperDriver } from '../driver.js'
import { parseDescription } from './description.js'
import { pieceLength, Pieces, sums, XvaSource } from './disk.js'

const longestDescription = 16 * 1024 * 1024
/** Pieces and their checksums: disks of 16 TiB. */
const mostMembers = 2 ** 25
const mostDisks = 256
/** 16 TiB. */
const mostPieces = 2 ** 24

/** Exports of XenServer and XCP-ng: a description and the disks of a machine, piece by piece. */
export const xva: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'xva',
  title: 'Xen export (XVA)',
  extensions: ['xva'],
  access: 'at any place, with the checksum of each piece',
  probe: (head) => (isXva(head) ? 'certain' : 'no'),
  *open(store) {
    const archive = new XvaArchive(store)
    const notes = [...(yield* walkTar(store, mostMembers, (member) => archive.add(member)))]
    const { disks, appliance } = parseDescription(archive.description(), store.name)
    const members = disks.map((disk) => {
      const pieces = archive.pieces.get(disk.id) ?? new Pieces()
      const twice = pieces.places.finish()
      if (twice !== undefined) pieces.problem ??= badPiece(store, `${disk.id}/${twice}`, 'is there twice')
      archive.judge(pieces, disk.id, disk.capacity)
      const source = new XvaSource(store, disk, pieces)
      notes.push(...notesOf(store, disk.id, pieces, source))
      return { name: disk.label ?? disk.id, id: disk.id, size: disk.capacity, source, plain: true }
    })
    return { members, notes, appliance }
  },
}

function notesOf(store: ByteStore, id: string, { empty }: Pieces, { problem }: XvaSource): Note[] {
  const what = `${store.name}: ${printable(id)}`
  return [
    ...(empty === 0
      ? []
      : [{ code: 'W_XVA_EMPTY', message: `${what} has ${empty} pieces of no bytes, which are not counted` }]),
    ...(problem === undefined
      ? []
      : [{ code: 'W_XVA_INCOMPLETE', message: `${what} cannot be read: ${problem.message}` }]),
  ]
}

/** A piece, and where the tar header behind it is. */
interface PieceBefore {
  readonly name: string
  readonly end: number
}

/** What is met while the archive is walked. */
class XvaArchive {
  readonly pieces = new Map<string, Pieces>()
  readonly #store: ByteStore
  readonly #shorts = new Map<string, { readonly number: number; readonly size: number }>()
  #description: TarMember | undefined
  /** The piece before, whose checksum may follow. */
  #before: PieceBefore | undefined

  constructor(store: ByteStore) {
    this.#store = store
  }

  add(member: TarMember): void {
    const { name, problem } = member
    this.#description ??= member
    const before = this.#before
    this.#before = undefined
    const [, id = '', digits = '', kind = ''] = /^([^/]+)\/(\d{1,10})(\.checksum|\.xxhash)?$/.exec(name) ?? []
    if (id === '') return
    const pieces = this.#piecesOf(id)
    if (problem !== undefined) {
      pieces.problem ??= problem
      return
    }
    if (kind === '') this.#addPiece(member, id, Number(digits), pieces)
    else this.#addSum(member, kind, before, pieces)
  }

  #addPiece({ name, size, position }: TarMember, id: string, number: number, pieces: Pieces): void {
    if (size === 0) {
      pieces.empty++
      return
    }
    const isOdd = size < pieceLength
    if (size > pieceLength || number >= mostPieces || (isOdd && this.#shorts.has(id))) {
      pieces.problem ??= badPiece(this.#store, name, `has ${size} bytes`)
      return
    }
    if (isOdd) this.#shorts.set(id, { number, size })
    pieces.places.add(number, position, sums.none)
    this.#before = { name, end: roundUp(position + size, tarBlock) }
  }

  #addSum({ name, size, position }: TarMember, kind: string, before: PieceBefore | undefined, pieces: Pieces): void {
    const [wanted, sum] = kind === '.checksum' ? [40, sums.sha1] : [16, sums.xxh64]
    const isNext = before?.name === name.slice(0, -kind.length) && before.end + tarBlock === position
    if (isNext && size === wanted) pieces.places.setLastWord(sum)
    // A piece of no bytes may have a checksum too, which says nothing.
    else if (isNext || pieces.empty === 0)
      pieces.problem ??= badPiece(this.#store, name, 'does not follow its piece, or is none')
  }

  /** @throws ImageError corrupt */
  description(): Uint8Array {
    const member = this.#description
    if (member === undefined || member.size > longestDescription)
      throw corrupt('E_DESCRIPTION', `${this.#store.name}: its description has ${member?.size ?? 0} bytes`)
    if (member.problem !== undefined) throw member.problem
    const bytes = new Uint8Array(member.size)
    this.#store.read(member.position, bytes)
    return bytes
  }

  /** Only the last piece may be short. */
  judge(pieces: Pieces, id: string, capacity: number): void {
    const last = Math.ceil(capacity / pieceLength) - 1
    const short = this.#shorts.get(id)
    if (short?.number === last) pieces.lastLength = short.size
    else if (short !== undefined)
      pieces.problem ??= badPiece(this.#store, `${id}/${short.number}`, `has ${short.size} bytes`)
    const beyond = pieces.places.largest
    if (beyond > last) pieces.problem ??= badPiece(this.#store, `${id}/${beyond}`, 'lies behind the end of the disk')
  }

  #piecesOf(id: string): Pieces {
    let pieces = this.pieces.get(id)
    if (pieces !== undefined) return pieces
    if (this.pieces.size >= mostDisks) throw corrupt('E_DESCRIPTION', `${this.#store.name}: more than 256 disks`)
    pieces = new Pieces()
    this.pieces.set(id, pieces)
    return pieces
  }
}

function badPiece({ name }: ByteStore, piece: string, why: string): ImageError {
  return corrupt('E_PIECE', `${name}: ${printable(piece)} ${why}`, { hint: 'Export the machine again.' })
}
