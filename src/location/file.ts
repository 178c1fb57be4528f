import { FileStore } from '../block/file-store.js'
import { printable, systemReason, usage, type HostPath, type Label } from '../errors.js'
import fs from '../sys/host-fs.js'
import { folderPart, inFolder, lastPart, realPath } from '../sys/host-path.js'
import { fileId, isName, type Location, type LocationId, type Scheme } from './location.js'

/** A file, folder or device of this computer, as the system finds it under a path. */
export class HostLocation implements Location {
  readonly scheme = 'file'
  readonly path: HostPath
  readonly address: string
  readonly label: Label
  readonly member: string | undefined
  #id: LocationId | undefined

  readonly format?: string

  /**
   * @param path any path; nothing is looked at yet. @param member the disk in it that is meant. @param format what it
   * is read as.
   */
  constructor(path: HostPath, member?: string, format?: string) {
    if (format !== undefined) this.format = format
    this.path = path
    this.member = member
    this.address = member === undefined ? path : `${path}${memberMark}${member}`
    this.label = printable(path)
  }

  get kind(): 'file' | 'folder' | 'device' {
    const stat = fs.statSync(this.path, { throwIfNoEntry: false })
    return stat?.isDirectory() === true ? 'folder' : stat?.isBlockDevice() === true ? 'device' : 'file'
  }

  get name(): string {
    return lastPart(this.path)
  }

  /** Of the file as it was opened last; else of what is there now. */
  get id(): LocationId {
    if (this.#id === undefined) {
      const { dev: device, ino: inode } = fs.statSync(this.path, { bigint: true })
      return fileId({ device, inode })
    }
    return this.#id
  }

  store(): FileStore {
    const store = FileStore.openRead(this.path)
    const { dev: device, ino: inode } = fs.fstatSync(store.fd, { bigint: true })
    this.#id = fileId({ device, inode })
    return store
  }

  get behind(): HostLocation | undefined {
    if (fs.lstatSync(this.path, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return undefined
    const real = realPath(this.path)
    return real === undefined ? undefined : new HostLocation(real)
  }

  sibling(name: string): HostLocation | undefined {
    const path = inFolder(folderPart(this.path), name)
    return isName(name) && fs.existsSync(path) ? new HostLocation(path) : undefined
  }

  siblings(): readonly string[] {
    return namesIn(folderPart(this.path))
  }

  list(): readonly HostLocation[] {
    return namesIn(this.path).map((name) => new HostLocation(inFolder(this.path, name)))
  }
}

function namesIn(folder: HostPath): readonly string[] {
  try {
    return fs.readdirSync(folder)
  } catch (cause) {
    throw usage('E_PERMISSION', `the folder ${printable(folder)} cannot be listed: ${systemReason(cause)}`, {
      cause,
      hint: 'Run as a user who may list the folder.',
    })
  }
}

const memberMark = '@disk='

/**
 * A path, and behind `@disk=` the disk that is meant of several in that file. What is there under the whole name is
 * that file.
 */
export function hostLocation(address: string): HostLocation {
  const at = address.indexOf(memberMark, 1)
  if (at < 0 || fs.existsSync(address)) return new HostLocation(address)
  return new HostLocation(address.slice(0, at), address.slice(at + memberMark.length))
}

/** What is left: every address that no other scheme takes. */
export const fileScheme: Scheme = {
  id: 'file',
  title: 'a file, folder or device of this computer',
  matches: () => true,
  locate: hostLocation,
}
