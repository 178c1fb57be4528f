import {
  decodeTarHeader,
  decodeTarSparse,
  isTarHeader,
  tarBlock,
  type TarHeader,
  type TarRun,
} from '../binary/tar-header.js'
import { roundUp } from '../binary/integers.js'
import type { ByteStore, Note } from './types.js'
import type { Work } from './work.js'
import { corrupt, printable, unsupported, type ImageError } from '../errors.js'
import { hostName } from '../sys/host-fs.js'

/** A member of a tar archive. Positions and sizes are bytes. */
export interface TarMember {
  /** As it stands, without `./` before it. */
  readonly name: string
  readonly position: number
  readonly size: number
  /** Why its content cannot be read: it passes the end of the file, or is none. */
  readonly problem?: ImageError
  /** Of a sparse member: where its file has data, which is stored run behind run, and how long the file is. */
  readonly sparse?: { readonly runs: readonly TarRun[]; readonly size: number }
}

export interface TarArchive {
  readonly members: readonly TarMember[]
  readonly notes: readonly Note[]
}

/** More members than any appliance has. */
const mostMembers = 65536
/** Long names and pax records are shorter than this. */
const longestRecord = 65536

/**
 * The members of a tar archive, in its order; no content is read.
 * @throws ImageError corrupt E_TAR where a header is damaged; unsupported E_UNSUPPORTED_FORMAT for too many members.
 */
export function* readTar(store: ByteStore): Work<TarArchive> {
  const members: TarMember[] = []
  const notes = yield* walkTar(store, mostMembers, (member) => members.push(member))
  return { members, notes }
}

/**
 * The same, member by member. @param most members that the archive may have. @param visit is called with each.
 * @throws what `visit` throws, too.
 */
export function* walkTar(store: ByteStore, most: number, visit: (member: TarMember) => void): Work<readonly Note[]> {
  const block = new Uint8Array(tarBlock)
  let next: Overrides = {}
  let position = 0
  let count = 0
  let ended = false
  for (let steps = 0; position + tarBlock <= store.size; steps++) {
    store.read(position, block)
    if (isEmpty(block)) {
      ended = true
      break
    }
    const header = decodeTarHeader(block)
    if (header === undefined || (count === 0 && !isTarHeader(block))) throw damaged(store, position)
    if (count >= most)
      throw unsupported('E_UNSUPPORTED_FORMAT', `${store.name} is a tar archive of more than ${most} members`)
    const content = position + tarBlock
    const size = header.type === '0' ? (next.size ?? header.size) : header.size
    if ('xgLK'.includes(header.type)) next = overridesOf(store, content, header, next)
    else if (header.type === 'S') {
      const { blocks, ...sparse } = readSparseMap(store, position, block, size)
      position += blocks * tarBlock
      visit({ ...memberOf(store, { ...header, type: '0' }, position + tarBlock, size, next), sparse })
      position += tarBlock + roundUp(size, tarBlock)
      count++
      next = {}
      continue
    } else {
      visit(memberOf(store, header, content, size, next))
      count++
      next = {}
    }
    position = content + roundUp(size, tarBlock)
    if (!Number.isSafeInteger(position)) throw damaged(store, content - tarBlock)
    if (steps % 1024 === 0) yield { done: Math.min(position, store.size), total: store.size }
  }
  return ended ? [] : [endNote(store)]
}

/** Runs of data in one sparse member. */
const mostRuns = 65536 * 4

/** The map of a sparse member (GNU): ascending, and as long as what is stored. @throws ImageError corrupt E_TAR */
function readSparseMap(
  store: ByteStore,
  position: number,
  header: Uint8Array,
  stored: number,
): { readonly runs: readonly TarRun[]; readonly size: number; readonly blocks: number } {
  const first = decodeTarSparse(header, true)
  const runs: TarRun[] = []
  let blocks = 0
  for (let map = first; ;) {
    if (map === undefined || runs.length > mostRuns) throw damaged(store, position)
    runs.push(...map.runs)
    if (!map.more) break
    blocks++
    const at = position + blocks * tarBlock
    if (at + tarBlock > store.size) throw damaged(store, position)
    const block = new Uint8Array(tarBlock)
    store.read(at, block)
    map = decodeTarSparse(block, false)
  }
  const size = first?.size ?? 0
  let end = 0
  let sum = 0
  for (const { offset, length } of runs) {
    if (offset < end || offset + length > size) throw damaged(store, position)
    end = offset + length
    sum += length
  }
  if (sum !== stored) throw damaged(store, position)
  return { runs: runs.filter(({ length }) => length > 0), size, blocks }
}

/** What a header in front says of the next member. */
interface Overrides {
  readonly name?: string
  readonly size?: number
}

function memberOf(
  store: ByteStore,
  { name, type }: TarHeader,
  position: number,
  size: number,
  { name: longName }: Overrides,
): TarMember {
  const plain = (longName ?? hostName(name)).replace(/^(?:\.\/+)+/, '')
  const what = `${printable(plain)} in ${store.name}`
  if (type !== '0' && type !== '5')
    return {
      name: plain,
      position,
      size,
      problem: unsupported('E_UNSUPPORTED_FORMAT', `${what} is ${typeText(type)}, not a plain file`, {
        hint: 'Unpack the archive with tar first.',
      }),
    }
  if (position + size > store.size)
    return {
      name: plain,
      position,
      size,
      problem: corrupt(
        'E_TRUNCATED',
        `${store.name} is cut off: ${printable(plain)} in it has ${size} bytes, and ` +
          `${Math.max(0, store.size - position)} of them are there`,
        { hint: 'Copy or download it again.', details: { position, size } },
      ),
    }
  return { name: plain, position, size }
}

function typeText(type: string): string {
  return type === '1' || type === '2' ? 'a link' : `of tar's type ${printable(type)}`
}

/** Long names of GNU tar, and pax records of one member (`x`); those for all members (`g`) say nothing needed. */
function overridesOf(store: ByteStore, position: number, { type, size }: TarHeader, before: Overrides): Overrides {
  if (type === 'g' || type === 'K') return before
  if (size > longestRecord || position + size > store.size) throw damaged(store, position - tarBlock)
  const bytes = new Uint8Array(size)
  store.read(position, bytes)
  if (type === 'L') {
    const end = bytes.indexOf(0)
    return { ...before, name: hostName(end < 0 ? bytes : bytes.subarray(0, end)) }
  }
  const records = paxRecords(bytes)
  const path = records.get('path')
  const length = records.get('size')
  const text = length === undefined ? undefined : Buffer.from(length).toString('latin1')
  if (records.has('GNU.sparse.major') || records.has('GNU.sparse.map'))
    throw unsupported('E_UNSUPPORTED_FORMAT', `${store.name} has sparse files of GNU tar in it`, {
      hint: 'Unpack the archive with tar first.',
    })
  if (text !== undefined && !/^\d{1,15}$/.test(text)) throw damaged(store, position - tarBlock)
  return {
    name: path === undefined ? before.name : hostName(path),
    size: text === undefined ? before.size : Number(text),
  }
}

/** Records `LENGTH KEY=VALUE\n` (POSIX.1-2001, pax); what does not fit ends them. */
export function paxRecords(bytes: Uint8Array): Map<string, Uint8Array> {
  const records = new Map<string, Uint8Array>()
  for (let at = 0; at < bytes.length;) {
    const head = /^(\d{1,6}) ([^=]{1,200})=/.exec(Buffer.from(bytes.subarray(at, at + 220)).toString('latin1'))
    const length = Number(head?.[1] ?? 0)
    if (head === null || length < head[0].length + 1 || at + length > bytes.length) break
    records.set(head[2] ?? '', bytes.subarray(at + head[0].length, at + length - 1))
    at += length
  }
  return records
}

function isEmpty(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0)
}

function endNote({ name }: ByteStore): Note {
  return {
    code: 'W_TAR_END',
    message: `${name}: the end mark of the tar archive is missing; it may have been cut off`,
  }
}

function damaged(store: ByteStore, position: number): ImageError {
  return corrupt('E_TAR', `${store.name}: there is no tar header at byte ${position}, where one must be`, {
    hint: 'Copy or download it again.',
    details: { position },
  })
}
