import { unsupported, usage } from '../../errors.js'
import { damaged } from '../damage.js'
import { entryName } from '../names.js'
import { foldedCase } from '../../binary/folded-case.js'
import type { DirectoryEntry, FileNode, FilePatch, FileTree, ByteRun, VolumeWrite } from '../types.js'
import { fileAttributes, recordFlags, recordReference } from './entries.js'
import { dosNamespace, folderNames, type IndexedName } from './index-tree.js'
import { maximumInterix, readInterix } from './interix.js'
import type { NtfsLayout } from './layout.js'
import type { Mft } from './mft.js'
import { attributeTypes, firstUserRecord, type FileRecord } from './record.js'
import { readReparse, type Reparse } from './reparse.js'
import { rewriteNtfsFile } from './rewrite.js'
import type { Stream } from './stream.js'
import { fileName, standardInformation } from './structs.js'

const rootRecord = 5
/** From 1601-01-01 to 1970-01-01, in units of 100 ns. */
const epochDistance = 116444736000000000n
/** Windows allows 16 KiB. */
const maximumReparse = 65536

/** What is known of a file beside its record. Times in nanoseconds since 1970, size in bytes. */
interface NtfsFacts {
  readonly links: number
  readonly created: bigint
  readonly modified: bigint
  readonly accessed: bigint
  readonly size: number
  readonly target?: string
  readonly unreadable?: string
  readonly otherStreams: readonly string[]
}

class NtfsNode implements FileNode {
  readonly links: number
  readonly created: bigint
  readonly modified: bigint
  readonly accessed: bigint
  readonly size: number
  readonly target?: string
  readonly otherStreams?: readonly string[]
  /** Why the content cannot be read. */
  readonly unreadable: string | undefined
  stream?: Stream

  constructor(
    readonly kind: FileNode['kind'],
    readonly record: FileRecord,
    readonly id: string,
    facts: NtfsFacts,
  ) {
    this.links = facts.links
    this.created = facts.created
    this.modified = facts.modified
    this.accessed = facts.accessed
    this.size = facts.size
    this.unreadable = facts.unreadable
    if (facts.target !== undefined) this.target = facts.target
    if (facts.otherStreams.length > 0) this.otherStreams = facts.otherStreams
  }
}

/** The files of NTFS. Its own files ($MFT …) are found by name, and not listed. */
export class NtfsTree implements FileTree {
  readonly root: FileNode
  readonly ignoresCase = true
  readonly #mft: Mft
  readonly #layout: NtfsLayout

  constructor(mft: Mft, layout: NtfsLayout) {
    this.#mft = mft
    this.#layout = layout
    this.root = this.#open({ record: rootRecord, sequence: 0 })
    if (this.root.kind !== 'directory') throw damaged('NTFS', 'the root folder is none')
  }

  find(directory: FileNode, name: string): FileNode | undefined {
    const folded = foldedCase(name)
    let other: IndexedName | undefined
    for (const indexed of this.#names(directory)) {
      const found = entryName(indexed.name)
      // Programs that know case (WSL) may make names that differ in nothing else.
      if (found === name) return this.#open(indexed)
      if (other === undefined && foldedCase(found) === folded) other = indexed
    }
    return other === undefined ? undefined : this.#open(other)
  }

  *entries(directory: FileNode): Generator<DirectoryEntry> {
    for (const indexed of this.#names(directory)) {
      const { name, record } = indexed
      if (record >= firstUserRecord) yield { name: entryName(name), order: record, open: () => this.#open(indexed) }
    }
  }

  dataRuns(file: FileNode): Iterable<ByteRun> {
    return this.#stream(file).dataRuns()
  }

  read(file: FileNode, offset: number, target: Uint8Array): void {
    const stream = this.#stream(file)
    if (offset < 0 || offset + target.length > stream.size)
      throw new RangeError(`read of ${target.length} bytes at offset ${offset} leaves the file of ${stream.size} bytes`)
    stream.read(offset, target)
  }

  rewrite(file: FileNode, patches: readonly FilePatch[], size: number): VolumeWrite[][] {
    // What keeps a file from being read keeps it from being written.
    this.#stream(file)
    return [rewriteNtfsFile(this.#mft, this.#node(file).record, patches, size)]
  }

  #node(file: FileNode): NtfsNode {
    if (!(file instanceof NtfsNode)) throw new RangeError('the file belongs to another tree')
    return file
  }

  #names(directory: FileNode): Iterable<IndexedName> {
    const { kind, record } = this.#node(directory)
    if (kind !== 'directory') throw usage('E_NOT_A_DIRECTORY', 'only a folder has entries')
    return folderNames(this.#mft, record, this.#layout)
  }

  #stream(file: FileNode): Stream {
    const node = this.#node(file)
    if (node.kind === 'directory') throw usage('E_IS_DIRECTORY', 'a folder has no content to read')
    if (node.unreadable !== undefined)
      throw unsupported('E_FS_FEATURE', `the file's content cannot be read here: it is ${node.unreadable}`)
    node.stream ??= this.#mft.stream(node.record, attributeTypes.data)
    return node.stream
  }

  #open({ record: number, sequence }: { readonly record: number; readonly sequence: number }): FileNode {
    const mft = this.#mft
    const record = mft.record(number, sequence)
    if (recordReference(record.base).number !== 0)
      throw damaged('NTFS', `record ${number} is named in a folder, and is but a part of a file`)
    const [standard] = mft.attributes(record, attributeTypes.standardInformation)
    if (
      standard === undefined ||
      !standard.content.resident ||
      standard.content.value.length < standardInformation.size
    ) {
      throw damaged('NTFS', `record ${number} of the master file table has no $STANDARD_INFORMATION`)
    }
    const information = standardInformation.read(standard.content.value)
    const { isReparsePoint, isOffline, isSystem } = fileAttributes(information.attributes)
    const { isDirectory } = recordFlags(record.flags)
    const streams = mft.attributes(record, attributeTypes.data, null)
    const reparse = isReparsePoint
      ? this.#reparse(record)
      : isSystem && !isDirectory
        ? this.#interix(record, sizeOf(streams))
        : undefined
    const kind = kindOf(isDirectory, reparse)
    const target = reparse?.kind === 'link' ? reparse.target : undefined
    const names = mft
      .attributes(record, attributeTypes.fileName)
      .filter(
        ({ content }) =>
          content.resident &&
          content.value.length >= fileName.size &&
          fileName.read(content.value).namespace !== dosNamespace,
      )
    return new NtfsNode(kind, record, `${number}-${record.sequence}`, {
      links: Math.max(1, names.length),
      created: unixTime(information.created),
      modified: unixTime(information.modified),
      accessed: unixTime(information.accessed),
      size: target !== undefined ? Buffer.byteLength(target) : kind === 'file' ? sizeOf(streams) : 0,
      target,
      ...unreadable(reparse, isOffline && !isDirectory),
      otherStreams: [...new Set(streams.filter(({ name }) => name !== '').map(({ name }) => name))],
    })
  }

  /** Links and devices of Unix programs are system files with a mark. */
  #interix(record: FileRecord, size: number): Reparse | undefined {
    if (record.number < firstUserRecord || size <= 8 || size > maximumInterix) return undefined
    const stream = this.#mft.stream(record, attributeTypes.data)
    const bytes = new Uint8Array(stream.size)
    stream.read(0, bytes)
    const found = readInterix(bytes)
    return found?.kind === 'device' ? { kind: 'special' } : found
  }

  #reparse(record: FileRecord): Reparse {
    const invalid: Reparse = { kind: 'redirected', what: 'a reparse point that is not valid' }
    const stream = this.#mft.stream(record, attributeTypes.reparsePoint)
    if (stream.size > maximumReparse) return invalid
    const bytes = new Uint8Array(stream.size)
    stream.read(0, bytes)
    return readReparse(bytes) ?? invalid
  }
}

function kindOf(isDirectory: boolean, reparse: Reparse | undefined): FileNode['kind'] {
  if (reparse?.kind === 'link') return 'link'
  if (isDirectory) return 'directory'
  return reparse?.kind === 'special' ? 'device' : 'file'
}

function unreadable(reparse: Reparse | undefined, isOffline: boolean): { unreadable?: string } {
  if (reparse?.kind === 'redirected') return { unreadable: reparse.what }
  return isOffline ? { unreadable: 'kept elsewhere, and not on this disk (offline)' } : {}
}

/** Of the unnamed stream; only its first part records it. */
function sizeOf(
  streams: readonly {
    readonly name: string
    readonly content:
      | { readonly resident: true; readonly value: Uint8Array }
      | { readonly resident: false; readonly startVcn: number; readonly realSize: number }
  }[],
): number {
  const first = streams.find(({ name, content }) => name === '' && (content.resident || content.startVcn === 0))
  if (first === undefined) return 0
  return first.content.resident ? first.content.value.length : first.content.realSize
}

function unixTime(ticks: bigint): bigint {
  return (BigInt.asIntN(64, ticks) - epochDistance) * 100n
}
