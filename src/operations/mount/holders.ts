import fs from '../../sys/host-fs.js'
import { inFolder } from '../../sys/host-path.js'
import { namesInFolder, textOfFile } from '../../sys/readable.js'

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
  const processes = namesInFolder('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name): FolderHolder[] => {
      const folder = inFolder('/proc', name)
      const used = [
        ...['cwd', 'root', 'exe'].map((each) => inFolder(folder, each)),
        ...namesInFolder(inFolder(folder, 'fd')).map((each) => inFolder(inFolder(folder, 'fd'), each)),
      ]
      const path = used.flatMap((each) => link(each) ?? []).find(inside)
      return path === undefined ? [] : [{ pid: Number(name), name: text(inFolder(folder, 'comm')), path }]
    })
  const loops = namesInFolder('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .flatMap((name): FolderHolder[] => {
      const path = text(`/sys/block/${name}/loop/backing_file`)
      return inside(path) ? [{ name: `/dev/${name}`, path }] : []
    })
  return [...processes, ...loops]
}

function link(path: string): string | undefined {
  try {
    return fs.readlinkSync(path)
  } catch {
    // Ended or closed meanwhile, or another user's.
    return undefined
  }
}

function text(path: string): string {
  return (textOfFile(path) ?? '').trim()
}
