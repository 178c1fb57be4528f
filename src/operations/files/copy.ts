import fs from '../../sys/host-fs.js'
import { writeError } from '../../block/file-store.js'
import type { Note } from '../../block/types.js'
import type { Progress } from '../../engine/progress.js'
import { aborted, corrupt, isImageError, printable, targetError, unsupported, usage } from '../../errors.js'
import { resolvePath } from '../../filesystem/path.js'
import type { FileNode, FileTree } from '../../filesystem/types.js'
import { HostFolder, type FileAttributes } from './host-folder.js'
import { guardChange } from '../in-use/guard.js'
import { problem } from '../inspect/info.js'
import type { FileProblem } from './list.js'
import { pathBelow } from './listed-files.js'
import { openVolume, type VolumeOptions } from './volume.js'
import { assertNotKept, keptFiles, type KeptFile } from '../transfer/target.js'
import { folderPart, inFolder, lastPart, realPath } from '../../sys/host-path.js'
import { nextTurn } from '../../sys/next-turn.js'

export interface CopyFilesOptions extends VolumeOptions {
  /** Copies folders with all that is in them. */
  readonly recursive?: boolean
  /** Replaces files that exist; folders are always merged. */
  readonly force?: boolean
}

export interface CopyFilesResult {
  readonly source: { readonly image: string; readonly path: string; readonly filesystem: string }
  readonly target: { readonly path: string }
  readonly files: number
  readonly folders: number
  readonly links: number
  /** Bytes of content that were written; holes are not counted. */
  readonly bytes: number
  /** How many could not be copied, and the first of them. */
  readonly failed: number
  readonly failures: readonly FileProblem[]
  /** How many files had alternate data streams, which are not copied. */
  readonly otherStreams: number
  readonly notes: readonly Note[]
}

const pieceLength = 1048576
/** Folders in folders: each holds a descriptor. */
const maximumDepth = 400
const keptFailures = 1000

/**
 * Copies a file, or a folder with all that is in it, out of an image. Files keep times, permission bits and holes,
 * links stay links.
 * What cannot be copied is listed in the result, and the rest is copied.
 * @param target a folder that exists (the copy goes into it, under its own name), or the name of the copy.
 * @throws ImageError usage E_IS_DIRECTORY (a folder, not recursive); target; corrupt and unsupported for a single file;
 * aborted.
 */
export async function copyFiles(
  image: string,
  path: string,
  target: string,
  options: CopyFilesOptions = {},
): Promise<CopyFilesResult> {
  const { recursive = false, force = false, ...opening } = options
  const { signal, onProgress } = opening
  using volume = await openVolume(image, opening)
  const { tree, filesystem } = volume
  const source = resolvePath(tree, path, !recursive)
  if (source.node.kind === 'directory' && !recursive)
    throw usage('E_IS_DIRECTORY', `${source.path} is a folder`, {
      hint: 'Use --recursive to copy it with all that is in it.',
    })
  const place = placeOf(target, source.path, source.node.kind === 'directory')
  // Of a whole folder only what is read is kept: each file would be asked about, and others beside it be opened.
  if (force && place.name !== undefined && source.node.kind !== 'directory')
    guardChange(inFolder(place.folder, place.name), 'replaced', opening)
  const copier = new Copier(tree, force, force ? keptFiles(volume.files) : [], signal, onProgress)
  using folder = HostFolder.open(place.folder)
  if (place.name !== undefined) await copier.entry(folder, [], place.name, source.path, source.node)
  else await copier.contents(folder, [], source.path, source.node)
  volume.assertUnchanged()
  return {
    source: { image, path: source.path, filesystem: filesystem.type },
    target: { path: place.name === undefined ? place.folder : inFolder(place.folder, place.name) },
    ...copier.counts,
    failures: copier.failures,
    notes: volume.notes,
  }
}

/**
 * Into which folder of the host, and under which name there; without a name: what is in the source goes straight into
 * the folder.
 */
function placeOf(
  target: string,
  source: string,
  isFolder: boolean,
): { readonly folder: string; readonly name?: string } {
  const name = lastPart(source)
  if (fs.statSync(target, { throwIfNoEntry: false })?.isDirectory() === true) {
    const folder = fs.realpathSync(target)
    return name === '' ? { folder } : { folder, name }
  }
  if (target.endsWith('/') && !isFolder)
    throw targetError('E_NO_FOLDER', `the folder ${printable(target)} does not exist`, {
      hint: 'Make the folder first.',
    })
  // A folder that is to be made may be written with a slash at its end.
  const path = target.replace(/(?<=.)\/+$/, '')
  const parent = realPath(folderPart(path))
  if (parent === undefined || fs.statSync(parent, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw targetError('E_NO_FOLDER', `the folder of the target ${printable(target)} does not exist`, {
      hint: 'Make the folder first.',
    })
  return { folder: parent, name: lastPart(path) }
}

class Copier {
  readonly counts = { files: 0, folders: 0, links: 0, bytes: 0, failed: 0, otherStreams: 0 }
  readonly failures: FileProblem[] = []
  readonly #tree: FileTree
  readonly #force: boolean
  readonly #kept: readonly KeptFile[]
  readonly #signal: AbortSignal | undefined
  readonly #onProgress: ((progress: Progress) => void) | undefined
  readonly #piece = new Uint8Array(pieceLength)
  /** Folders that were entered: a damaged filesystem may have circles. */
  readonly #seen = new Set<string>()
  /** Files with several names: where the first copy is, from the target's folder on. */
  readonly #copies = new Map<string, readonly string[]>()
  #root: HostFolder | undefined
  #single = true

  constructor(
    tree: FileTree,
    force: boolean,
    kept: readonly KeptFile[],
    signal: AbortSignal | undefined,
    onProgress: ((progress: Progress) => void) | undefined,
  ) {
    this.#tree = tree
    this.#force = force
    this.#kept = kept
    this.#signal = signal
    this.#onProgress = onProgress
  }

  /** Copies one file or folder into a folder of the host. @param walked the names from the first folder to this one. */
  async entry(
    folder: HostFolder,
    walked: readonly string[],
    name: string,
    path: string,
    node: FileNode,
  ): Promise<void> {
    this.#root ??= folder
    await this.#pause()
    const host = hostName(name)
    const attributes: FileAttributes = { mode: node.mode, modified: node.modified, accessed: node.accessed }
    if (node.otherStreams !== undefined) this.counts.otherStreams++
    switch (node.kind) {
      case 'directory': {
        if (walked.length >= maximumDepth)
          throw unsupported('E_FS_LIMIT', `${path} lies in more than ${maximumDepth} folders`)
        this.#single = false
        using below = folder.folder(host)
        await this.contents(below, [...walked, host], path, node)
        this.counts.folders++
        return
      }
      case 'link':
        this.#keepSources(folder, host)
        folder.link(host, node.target ?? '', attributes, this.#force)
        this.counts.links++
        return
      case 'file':
        this.#keepSources(folder, host)
        if (!this.#linked(folder, host, node)) {
          await folder.file(host, attributes, this.#force, (descriptor) =>
            this.#content(descriptor, `${folder.path}/${host}`, node),
          )
          if ((node.links ?? 1) > 1) this.#copies.set(node.id, [...walked, host])
        }
        this.counts.files++
        return
      default:
        throw unsupported(
          'E_FS_DEVICE',
          `${path} is no file, folder or link (a device, a pipe, a socket): it is not copied`,
        )
    }
  }

  /** @throws ImageError refused E_SAME_FILE where a file that is read would be replaced. */
  #keepSources(folder: HostFolder, host: string): void {
    if (this.#force) assertNotKept(inFolder(folder.path, host), folder.statOf(host), this.#kept)
  }

  /** Copies what is in a folder; what fails is noted. */
  async contents(folder: HostFolder, walked: readonly string[], path: string, node: FileNode): Promise<void> {
    this.#root ??= folder
    this.#single = false
    if (this.#seen.has(node.id)) {
      this.#failed(
        path,
        corrupt('E_FS_CORRUPT', `the folder ${path} is there under another name already: the filesystem is damaged`),
      )
      return
    }
    this.#seen.add(node.id)
    try {
      for (const entry of this.#tree.entries(node)) {
        const place = pathBelow(path, entry.name)
        try {
          await this.entry(folder, walked, entry.name, place, entry.open())
        } catch (error) {
          this.#failed(place, error)
        }
      }
      folder.finish({ mode: node.mode, modified: node.modified, accessed: node.accessed })
    } catch (error) {
      this.#failed(path, error)
    }
  }

  /** Whether the file was copied before under another name, and a hard link was made to that. */
  #linked(folder: HostFolder, name: string, node: FileNode): boolean {
    const first = this.#copies.get(node.id)
    if (first === undefined || this.#root === undefined) return false
    const opened: HostFolder[] = []
    try {
      let from = this.#root
      for (const step of first.slice(0, -1)) opened.push((from = from.existing(step)))
      return folder.hardLink(name, from, first.at(-1) ?? '')
    } catch (error) {
      // Somebody moved the first copy away: then it is copied again.
      if (isImageError(error)) return false
      throw error
    } finally {
      for (const one of opened) one[Symbol.dispose]()
    }
  }

  async #content(descriptor: number, shown: string, node: FileNode): Promise<void> {
    const write = (work: () => void): void => {
      try {
        work()
      } catch (cause) {
        throw writeError(shown, 'cannot be written', cause)
      }
    }
    write(() => fs.ftruncateSync(descriptor, node.size))
    for (const { offset, length } of this.#tree.dataRuns(node)) {
      for (let done = 0; done < length;) {
        const piece = this.#piece.subarray(0, Math.min(pieceLength, length - done))
        this.#tree.read(node, offset + done, piece)
        write(() => {
          for (let written = 0; written < piece.length;)
            written += fs.writeSync(descriptor, piece, written, piece.length - written, offset + done + written)
        })
        done += piece.length
        this.counts.bytes += piece.length
        this.#onProgress?.({ phase: 'copy', done: this.counts.bytes, total: 0 })
        await this.#pause()
      }
    }
  }

  /**
   * Notes what could not be copied; a single file's failure is the whole operation's. What ends everything is thrown
   * on.
   */
  #failed(path: string, error: unknown): void {
    if (!isImageError(error) || error.kind === 'aborted' || error.code === 'E_NO_SPACE' || this.#single) throw error
    this.counts.failed++
    if (this.failures.length < keptFailures) this.failures.push({ path, ...problem(error) })
  }

  /** Lets a signal through: reading and writing are synchronous. */
  async #pause(): Promise<void> {
    await nextTurn()
    if (this.#signal?.aborted === true)
      throw aborted('interrupted', { hint: 'What was copied so far is complete, and stays.' })
  }
}

/**
 * A name as the host can have it: UTF-16 that is not well formed would become another name, so its odd halves are
 * written out.
 */
function hostName(name: string): string {
  return name.replace(
    /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16)}`,
  )
}
