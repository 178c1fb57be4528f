import fs from '../../sys/host-fs.js'
import { inFolder } from '../../sys/host-path.js'

/** Who keeps a folder from being unmounted. */
export interface FolderHolder {
  /** A process; absent for a loop device. */
  readonly pid?: number
  readonly name: string
  /** What it uses, below the folder or the folder itself. */
  readonly path: string
}

/**
 * Processes that have something below a folder open, run from it or stand in it, and loop devices over files in it.
 * Those of others are seen by root only.
 */
export function holdersOf(point: string): readonly FolderHolder[] {
  const inside = (path: string): boolean => path === point || path.startsWith(`${point}/`)
  const processes = list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name): FolderHolder[] => {
      const folder = inFolder('/proc', name)
      const used = [
        ...['cwd', 'root', 'exe'].map((each) => inFolder(folder, each)),
        ...list(inFolder(folder, 'fd')).map((each) => inFolder(inFolder(folder, 'fd'), each)),
      ]
      const path = used.flatMap((each) => link(each) ?? []).find(inside)
      return path === undefined ? [] : [{ pid: Number(name), name: text(inFolder(folder, 'comm')), path }]
    })
  const loops = list('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .flatMap((name): FolderHolder[] => {
      const path = text(`/sys/block/${name}/loop/backing_file`)
      return inside(path) ? [{ name: `/dev/${name}`, path }] : []
    })
  return [...processes, ...loops]
}

function list(folder: string): string[] {
  try {
    return fs.readdirSync(folder)
  } catch {
    // Ended meanwhile, or another user's.
    return []
  }
}

function link(path: string): string | undefined {
  try {
    return fs.readlinkSync(path)
  } catch {
    return undefined
  }
}

function text(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}
