import { Input } from '../../codec/stream/input.js'
import { streamCodecFor } from '../../codec/stream/index.js'
import { isImageError, type ImageError } from '../../errors.js'
import { fillFromGuestFile, guestFileSize, type GuestFile } from './guest-file.js'
import { isModuleFile, moduleNames } from './module-names.js'

/** What an initramfs holds: names alone, never content. */
export interface Initramfs {
  readonly names: ReadonlySet<string>
  /** How its archives are compressed, in their order: `cpio`, `zstd`. */
  readonly archives: readonly string[]
  /** Why the rest is not known. */
  readonly fault?: { readonly kind: 'damaged' | 'unknown' | 'too large'; readonly why: string }
}

/** Bytes that are unpacked, and entries that are read, at most. */
const mostBytes = 512 * 1048576
const mostEntries = 200_000
const longestName = 4096
const headerLength = 110
const zeroWindow = 65536
/** Where the kernel takes an archive that is not compressed (init/initramfs.c, unpack_to_rootfs). */
const archiveAlignment = 4
/** Of one entry, with its name. */
const mostHeader = headerLength + longestName

/** By the first bytes, as the kernel knows them (lib/decompress.c). */
const compressions: readonly { readonly codec: string; readonly magic: readonly number[] }[] = [
  { codec: 'gzip', magic: [0x1f, 0x8b] },
  { codec: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { codec: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd] },
  { codec: 'lz4', magic: [0x02, 0x21, 0x4c, 0x18] },
  { codec: 'bzip2', magic: [0x42, 0x5a, 0x68] },
  { codec: 'lzma', magic: [0x5d, 0x00, 0x00] },
  { codec: 'lzop', magic: [0x89, 0x4c, 0x5a, 0x4f] },
]

/**
 * Reads the names in an initramfs: archives one behind the other, plain or compressed, with zeros between them; the
 * first is often microcode alone. Bounded in memory and in what it unpacks, whatever the bytes. Never throws for what
 * it reads.
 */
export async function readInitramfs(file: GuestFile): Promise<Initramfs> {
  const walk = new CpioWalk()
  const archives: string[] = []
  const input = new Input(
    file.path,
    (position, target) => {
      if (!fillFromGuestFile(file, position, target)) throw new UnreadableError()
    },
    0,
    guestFileSize(file),
  )
  try {
    while (walk.fault === undefined && skipZeros(input)) {
      const head = input.peek(6)
      const found = compressions.find(({ magic }) => magic.every((byte, index) => head[index] === byte))
      if (found === undefined && !isCpio(head)) {
        const why = `what stands at byte ${input.position} is no archive that is known`
        return { names: walk.names, archives, fault: { kind: 'unknown', why } }
      }
      const { position } = input
      if (found === undefined && position % archiveAlignment !== 0) {
        const why = `the archive at byte ${position} is not compressed, and begins at no multiple of 4`
        return { names: walk.names, archives, fault: { kind: 'damaged', why } }
      }
      archives.push(found?.codec ?? 'cpio')
      walk.begin()
      if (found === undefined) plain(input, walk)
      else await packed(input, found.codec, walk)
      if (input.position === position || !walk.ended) break
    }
  } catch (error) {
    if (error instanceof UnreadableError)
      return { names: walk.names, archives, fault: { kind: 'unknown', why: 'the file cannot be read' } }
    if (!isImageError(error)) throw error
    const kind = error.kind === 'unsupported' ? 'unknown' : 'damaged'
    return { names: walk.names, archives, fault: { kind, why: error.message } }
  }
  return { names: walk.names, archives, fault: walk.fault ?? walk.unfinished }
}

class UnreadableError extends Error {}

/** @returns whether something else follows. */
function skipZeros(input: Input): boolean {
  while (input.remaining > 0) {
    const bytes = input.peek(zeroWindow)
    const at = bytes.findIndex((byte) => byte !== 0)
    input.position += at < 0 ? bytes.length : at
    if (at >= 0) return true
  }
  return false
}

function isCpio(head: Uint8Array): boolean {
  const text = Buffer.from(head.buffer, head.byteOffset, Math.min(6, head.length)).toString('latin1')
  return text === '070701' || text === '070702'
}

/** An archive that is not compressed: it ends with its trailer. */
function plain(input: Input, walk: CpioWalk): void {
  while (input.remaining > 0 && !walk.ended && walk.fault === undefined) {
    const skipped = Math.min(walk.skippable, input.remaining)
    if (skipped > 0) {
      input.position += skipped
      walk.skip(skipped)
      continue
    }
    const taken = walk.take(input.peek(mostHeader))
    // Less than a header is left: the archive is cut off.
    if (taken === 0) return
    input.position += taken
  }
}

async function packed(input: Input, codec: string, walk: CpioWalk): Promise<void> {
  let unpacked = 0
  try {
    for await (const piece of streamCodecFor(codec).decode(input)) {
      unpacked += piece.length
      if (unpacked > mostBytes) {
        walk.fault = { kind: 'too large', why: `more than ${mostBytes} bytes are packed in it` }
        return
      }
      walk.feed(piece)
      if (walk.fault !== undefined) return
    }
  } catch (error) {
    // The next archive follows.
    if (isImageError(error) && isTrailing(error)) return
    throw error
  }
}

function isTrailing({ code }: ImageError): boolean {
  return code === 'E_TRAILING_DATA'
}

/** Walks through the entries of cpio archives (newc), fed in pieces of any length. */
class CpioWalk {
  readonly names = new Set<string>()
  fault: NonNullable<Initramfs['fault']> | undefined
  ended = false
  #entries = 0
  /** Bytes of the archive so far: names and data are padded from its start. */
  #position = 0
  /** Bytes of content that are passed over. */
  #skip = 0
  #pending = Buffer.alloc(0)
  #begun = false

  /** Another archive begins. */
  begin(): void {
    this.ended = false
    this.#position = 0
    this.#skip = 0
    this.#pending = Buffer.alloc(0)
    this.#begun = true
  }

  get skippable(): number {
    return this.#skip
  }

  /** What is wrong where the bytes end inside an archive. */
  get unfinished(): Initramfs['fault'] {
    return !this.#begun || this.ended ? undefined : { kind: 'damaged', why: 'its last archive is cut off' }
  }

  skip(length: number): void {
    this.#skip -= length
    this.#position += length
  }

  feed(piece: Uint8Array): void {
    let rest = this.#pending.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#pending, piece])
    while (rest.length > 0 && this.fault === undefined) {
      if (this.#skip > 0) {
        const length = Math.min(this.#skip, rest.length)
        this.skip(length)
        rest = rest.subarray(length)
        continue
      }
      if (this.ended) {
        // Zeros, and then perhaps another archive in the same stream.
        const at = rest.findIndex((byte) => byte !== 0)
        if (at < 0) {
          rest = rest.subarray(rest.length)
          break
        }
        rest = rest.subarray(at)
        this.begin()
      }
      const taken = this.take(rest)
      if (taken === 0) break
      rest = rest.subarray(taken)
    }
    // Less than a header and a name, which are bounded.
    this.#pending = Buffer.from(rest)
  }

  /** Reads one header with its name. @returns bytes taken; 0: more are needed. */
  take(bytes: Uint8Array): number {
    if (bytes.length < headerLength) return 0
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    const header = text.toString('latin1', 0, headerLength)
    if (!/^07070[12][0-9a-fA-F]{104}$/.test(header)) {
      this.fault = { kind: 'damaged', why: `an entry of its archive (number ${this.#entries + 1}) has no header` }
      return 0
    }
    const size = Number.parseInt(header.slice(54, 62), 16)
    const nameLength = Number.parseInt(header.slice(94, 102), 16)
    if (nameLength === 0 || nameLength > longestName) {
      this.fault = { kind: 'damaged', why: `an entry of its archive has a name of ${nameLength} bytes` }
      return 0
    }
    if (bytes.length < headerLength + nameLength) return 0
    const name = text.toString('latin1', headerLength, headerLength + nameLength - 1)
    this.#position += headerLength + nameLength
    if (name === 'TRAILER!!!') this.ended = true
    else {
      if (++this.#entries > mostEntries) {
        this.fault = { kind: 'too large', why: `it has more than ${mostEntries} entries` }
        return 0
      }
      this.names.add(name.replace(/^(\.?\/)+/, ''))
      const padding = (4 - (this.#position % 4)) % 4
      this.#skip = padding + size + ((4 - ((this.#position + padding + size) % 4)) % 4)
    }
    return headerLength + nameLength
  }
}

/** The modules of one kernel, and which other kernels have some. */
export function modulesOf(
  names: Iterable<string>,
  version: string | undefined,
): { readonly own: ReadonlySet<string>; readonly others: readonly string[] } {
  const own: string[] = []
  const others = new Set<string>()
  for (const name of names) {
    const [, folder] = /(?:^|\/)lib\/modules\/([^/]+)\/./.exec(name) ?? []
    if (folder === undefined || !isModuleFile(name)) continue
    if (version === undefined || folder === version) own.push(name)
    else others.add(folder)
  }
  return { own: moduleNames(own), others: [...others] }
}
