import { tmpdir } from 'node:os'
import { assertUnchanged } from '../block/changed.js'
import type { FileStore } from '../block/file-store.js'
import { piecesInFiles, rangeFarAway, rangeInFile, type ByteRange } from '../block/file-range.js'
import { RangeSource } from '../block/range-source.js'
import { createScratchStore } from '../block/scratch-store.js'
import { SourceStore } from '../block/source-store.js'
import type { BlockSource, ByteStore } from '../block/types.js'
import { UnitSource } from '../block/unit-source.js'
import { settled, type Work } from '../block/work.js'
import { CheckpointStore } from '../codec/stream/checkpoint-store.js'
import { ForwardMiss } from '../codec/stream/forward-miss.js'
import { ForwardStore, writeSparse } from '../codec/stream/forward-store.js'
import { DecodeThread, type DecodeRequest } from '../codec/stream/thread.js'
import { ImageError, isImageError } from '../errors.js'
import { blockInflate } from '../sys/libz.js'
import type { WrappedFile, WrappedStream } from './driver.js'
import { partOf, ProbedFile, type FileEnds } from './probe.js'
import type { Registry } from './registry.js'
import { endsAsDmg, foreignFormat, unclaimedFormat } from './signatures.js'
import type { Access } from './wrapper.js'

/** How an image is read that is read once, from its start to its end. */
export interface ReadingForward {
  /** The whole stream is decoded before, so that it is known to be whole; otherwise damage is found on the way. */
  readonly surveyed: boolean
  /** Sizes of content that were learned by decoding it, by the names of {@link ForwardMiss}. */
  readonly sizes: ReadonlyMap<string, number>
  /** Which places are looked at before the disk is read from its start on; asked with its first mebibyte. */
  readonly keep?: (head: Uint8Array, size: number | undefined) => readonly ByteRange[]
  /**
   * Takes a raw disk whose size is not known for certain, and gives it back as a file, before anything is known of it
   * but its first bytes. Left out: it is decoded once to learn its size.
   */
  readonly unpack?: (content: UnsizedContent) => Promise<ByteStore>
  /** No stream is decoded while it is read: what was tried so turned out to be something else. */
  readonly unpacked?: boolean
}

/** The content of a stream, to be read once. */
export interface UnsizedContent extends Pick<ForwardStore, 'name' | 'fetchUpTo' | 'progress'> {
  /** The file that holds the stream; undefined: it is on another computer. */
  readonly descriptor?: number
}

export interface MemberOptions {
  /** Where content is unpacked that cannot be read at any place; default: the system's folder for temporary files. */
  readonly scratchFolder?: string
  /** Streams of raw disks are decoded while they are read. Reading them may throw {@link ForwardMiss}. */
  readonly forward?: ReadingForward
}

/** What messages call it, and the name that promises a format. */
interface MemberNames {
  readonly name: string
  readonly fileName: string | undefined
}

/** A file inside another, to be read; its ends may be known already. */
export class MemberFile extends ProbedFile {
  readonly #access: () => Access

  constructor(store: ByteStore, registry: Registry, access: () => Access, ends?: FileEnds) {
    super(store, registry, ends)
    this.#access = access
  }

  get access(): Access {
    return this.#access()
  }
}

/** Opens a file that a wrapper found. The outer store belongs to the result. */
export function* memberFile(
  { store, registry }: Pick<ProbedFile, 'store' | 'registry'>,
  member: Exclude<WrappedFile, { readonly open: unknown }>,
  names: MemberNames,
  options: MemberOptions,
): Work<MemberFile> {
  const { source, stream } = member
  if (source !== undefined && (stream === undefined || options.forward !== undefined)) {
    const [first] = source.capacity === 0 ? [] : [source.extentAt(0, 1)]
    const access = first?.kind === 'packed' ? 'units' : 'stored'
    const later = stream === undefined ? undefined : endLater(source, store, registry, names, options)
    if (later !== undefined) return later
    return new MemberFile(new SourceStore(names.name, source, store), registry, () => access)
  }
  const forward = yield* forwardFile(store, registry, { ...member, stream }, names, options)
  if (forward !== undefined) return forward
  const indexed = yield* checkpointFile(store, stream, names.name, options)
  if (indexed !== undefined) return new MemberFile(indexed, registry, () => 'checkpoints')
  const unpacked = yield* unpack(store, stream, names.name, options)
  return new MemberFile(unpacked, registry, () => 'scratch')
}

/**
 * Content in large units, of which the last is decoded while the first are read already: what looks like a raw disk is
 * taken for one until its end is there. Undefined where it is to be known before.
 */
function endLater(
  source: BlockSource,
  store: ByteStore,
  registry: Registry,
  { name, fileName }: MemberNames,
  { forward }: MemberOptions,
): MemberFile | undefined {
  if (forward === undefined || forward.surveyed || forward.unpacked === true || promisesFormat(fileName, registry))
    return undefined
  if (!(source instanceof UnitSource) || source.capacity < 2 * smallContent) return undefined
  const content = new EndLaterStore(name, source, store, registry)
  const ends = { head: content.head, tail: new Uint8Array(endLength) }
  if (!isRaw(new ProbedFile(content, registry, ends)) || !source.decodeEnd()) return undefined
  return new MemberFile(content, registry, () => 'units', ends)
}

/** Content whose end says at the end that it is a raw disk. */
class EndLaterStore extends SourceStore {
  readonly head = new Uint8Array(endLength)
  readonly #registry: Registry
  #isJudged = false

  constructor(name: string, source: UnitSource, below: ByteStore, registry: Registry) {
    super(name, source, below)
    this.#registry = registry
    this.glance(0, this.head)
  }

  /** @throws ForwardMiss; ImageError where the end is damaged. */
  override changed(): string | undefined {
    if (!this.#isJudged) {
      const tail = new Uint8Array(endLength)
      this.read(this.size - endLength, tail)
      judge(this, this.#registry)(this.head, tail)
      this.#isJudged = true
    }
    return super.changed()
  }
}

const endLength = 65536

/** Content that is unpacked sooner than read as a stream: it takes no room to speak of. */
const smallContent = 4 * 1024 * 1024

/**
 * The content as a stream, where it is a raw disk as far as can be seen, and its size is known, likely, or found by a
 * survey. Undefined where it is to be unpacked.
 */
function* forwardFile(
  store: ByteStore,
  registry: Registry,
  member: WrappedFile & { readonly stream: WrappedStream },
  { name, fileName }: MemberNames,
  { forward, scratchFolder = tmpdir() }: MemberOptions,
): Work<MemberFile | undefined> {
  if (forward === undefined || forward.unpacked === true || promisesFormat(fileName, registry)) return undefined
  const file = rangeInFile(store, member.stream)
  // From another computer it is had once.
  const range = file ?? (forward.unpack === undefined ? undefined : rangeFarAway(store, member.stream))
  if (range === undefined) return undefined
  const unpackInto = member.size === undefined || file === undefined ? forward.unpack : undefined
  const found = forwardSize(member, name, forward)
  if (found === undefined) return undefined
  const size = unpackInto === undefined ? found.size : member.size
  const request: DecodeRequest = {
    ...range,
    name: store.name,
    codec: member.stream.codec,
    expected: member.stream.expected,
  }
  const content = new ForwardStore({
    name,
    request,
    size,
    guessed: member.size === undefined,
    below: store,
    scratchFolder,
    keep: forward.keep,
  })
  if (unpackInto !== undefined) return yield* unpackedInto(content, { store, registry, name, request }, unpackInto)
  try {
    const surveyed = forward.surveyed || size === undefined
    if (surveyed) yield* content.survey()
    const head = new Uint8Array(Math.min(endLength, content.size))
    content.read(0, head)
    const tail = new Uint8Array(head.length)
    if (surveyed) content.read(content.size - tail.length, tail)
    // Until the end is there, zeros stand for it.
    if (!isRaw(new ProbedFile(content, registry, { head, tail }))) {
      content.stop()
      return undefined
    }
    if (!surveyed) content.judge = judge(content, registry)
    return new MemberFile(content, registry, () => (content.isUnpacked ? 'scratch' : 'stream'), { head, tail })
  } catch (error) {
    content.stop()
    if (error instanceof ForwardMiss) return undefined
    throw error
  }
}

/** Bytes of the content, as far as they are known. Undefined where it is better unpacked. */
function forwardSize(
  { size, likelySize, stream: { codec } }: WrappedFile & { readonly stream: WrappedStream },
  name: string,
  forward: ReadingForward,
): { readonly size: number | undefined } | undefined {
  const known = size ?? forward.sizes.get(name) ?? (forward.surveyed ? undefined : likelySize)
  if (known !== undefined) return known <= smallContent ? undefined : { size: known }
  // bzip2 takes longer to decode a second time than its content takes to be written and read.
  return codec === 'bzip2' && forward.unpack === undefined ? undefined : { size: known }
}

/** What looks like a raw disk, as a file that somebody else makes of it; undefined where it is to be unpacked here. */
function* unpackedInto(
  content: ForwardStore,
  {
    store,
    registry,
    name,
    request: { descriptor },
  }: { readonly store: ByteStore; readonly registry: Registry; readonly name: string; readonly request: DecodeRequest },
  unpackInto: NonNullable<ReadingForward['unpack']>,
): Work<MemberFile | undefined> {
  try {
    const head = new Uint8Array(endLength)
    const length = yield* settled(content.fetchUpTo(0, head))
    const ends = { head: head.subarray(0, length), tail: new Uint8Array(length) }
    if (!isRaw(new ProbedFile(content, registry, ends))) return undefined
    const unpacked = yield* settled(
      unpackInto({
        name: content.name,
        descriptor,
        fetchUpTo: (position, target) => content.fetchUpTo(position, target),
        get progress() {
          return content.progress
        },
      }),
    )
    assertUnchanged(store)
    // It may turn out to be something else, which is read where it is now.
    const file: MemberFile = new MemberFile(new SourceStore(name, new RangeSource(unpacked), store), registry, () =>
      isRaw(file) ? 'stream' : 'scratch',
    )
    return file
  } finally {
    content.stop()
  }
}

function promisesFormat(fileName: string | undefined, registry: Registry): boolean {
  if (fileName === undefined) return false
  const promised = registry.forExtension(fileName)
  return partOf(fileName, registry) !== undefined || (promised !== undefined && promised.plain !== true)
}

/** Whether nothing at either end says that it is anything else. */
function isRaw(file: ProbedFile): boolean {
  const { head, tail } = file.ends
  const { size } = file.store
  return (
    file.drivers('certain').length === 0 &&
    file.drivers('possible').length === 0 &&
    !endsAsDmg(tail) &&
    foreignFormat(head, tail, size) === undefined &&
    unclaimedFormat(head, tail, size) === undefined &&
    file.registry.wrappers.every((driver) => driver.probe(head, tail, size) !== 'certain')
  )
}

/** Looks again when the end is there: a fixed VHD is a raw disk but for its last sector. */
function judge(content: ByteStore, registry: Registry): NonNullable<ForwardStore['judge']> {
  return (head, tail) => {
    const ends = { head: head.subarray(0, endLength), tail: tail.subarray(Math.max(0, tail.length - endLength)) }
    if (!isRaw(new ProbedFile(content, registry, ends)))
      throw new ForwardMiss(`${content.name} is no raw disk: its end says what it is`, content.name)
  }
}

/** The content at any place, by checkpoints; undefined where the stream has none, or is better unpacked. */
function* checkpointFile(
  store: ByteStore,
  { codec, start, end, expected }: WrappedStream,
  name: string,
  { forward }: MemberOptions,
): Work<ByteStore | undefined> {
  const open = blockInflate()
  // What is read from its start to its end is decoded faster once, in a thread of its own.
  if (open === undefined || forward !== undefined || (codec !== 'gzip' && codec !== 'deflate')) return undefined
  const indexed = new CheckpointStore({ name, store, start, end, codec, expected, open })
  yield* indexed.index()
  assertUnchanged(store)
  return indexed
}

/** All of the content, in a scratch file. */
function* unpack(store: ByteStore, stream: WrappedStream, name: string, options: MemberOptions): Work<ByteStore> {
  const scratch = createScratchStore(options.scratchFolder ?? tmpdir())
  try {
    const place = yield* fileRange(store, stream, options)
    try {
      using thread = new DecodeThread({
        ...place.range,
        name: store.name,
        codec: stream.codec,
        expected: stream.expected,
      })
      yield* spool(thread, scratch, place.range)
      assertUnchanged(store)
    } finally {
      place[Symbol.dispose]()
    }
  } catch (error) {
    scratch[Symbol.dispose]()
    throw outOfSpace(error, name, options)
  }
  // The archive stays open for the members beside this one.
  const below = {
    [Symbol.dispose]: () => {
      scratch[Symbol.dispose]()
      store[Symbol.dispose]()
    },
  }
  return new SourceStore(name, new RangeSource(scratch), below)
}

interface FileRange extends Disposable {
  readonly range: StreamPlace
}

type StreamPlace = ByteRange & Pick<DecodeRequest, 'descriptor' | 'pieces' | 'openPort'>

/** A stream in several files; undefined where some of it lies in none. */
function joinedRange(store: ByteStore, range: ByteRange): StreamPlace | undefined {
  const pieces = piecesInFiles(store, range)
  const [first] = pieces ?? []
  return first === undefined
    ? undefined
    : { descriptor: first.descriptor, start: 0, end: range.end - range.start, pieces }
}

/** The same; what no other thread can read is copied to a file. */
function* fileRange(store: ByteStore, { start, end }: ByteRange, options: MemberOptions): Work<FileRange> {
  const range =
    rangeInFile(store, { start, end }) ?? joinedRange(store, { start, end }) ?? rangeFarAway(store, { start, end })
  if (range !== undefined) return { range, [Symbol.dispose]: () => undefined }
  const copy = createScratchStore(options.scratchFolder ?? tmpdir())
  try {
    const bytes = new Uint8Array(1048576)
    for (let done = 0; done < end - start;) {
      const piece = bytes.subarray(0, Math.min(bytes.length, end - start - done))
      store.read(start + done, piece)
      copy.write(done, piece)
      done += piece.length
      yield { done, total: end - start }
    }
  } catch (error) {
    copy[Symbol.dispose]()
    throw error
  }
  return { range: { descriptor: copy.fd, start: 0, end: end - start }, [Symbol.dispose]: () => copy[Symbol.dispose]() }
}

/** Unpacks everything; zeros stay holes, so that an empty terabyte costs nothing. */
function* spool(thread: DecodeThread, scratch: FileStore, { start, end }: StreamPlace): Work<void> {
  let size = 0
  for (let bytes = thread.next(); bytes !== undefined; bytes = thread.next()) {
    writeSparse(scratch, size, bytes)
    size += bytes.length
    yield { done: Math.max(0, thread.position - start), total: end - start }
  }
  scratch.truncate(size)
}

function outOfSpace(error: unknown, name: string, { scratchFolder }: MemberOptions): unknown {
  if (!isImageError(error) || error.kind !== 'target') return error
  return new ImageError(error.kind, error.code, `${name} cannot be unpacked into a scratch file: ${error.message}`, {
    hint:
      scratchFolder === undefined
        ? 'Set TMPDIR to a folder with more room, or unpack the file yourself.'
        : 'Choose a folder with more room, or unpack the file yourself.',
    cause: error,
  })
}
