import fs from 'node:fs'
import { dirname, join } from 'node:path'

/** The files of a disk that is a folder, by their names in it. */
export type FolderFiles = Readonly<Record<string, Uint8Array | string>>

/** Writes them into a new folder of that name. @returns its path. */
export function diskFolder(parent: string, name: string, files: FolderFiles): string {
  const folder = join(parent, name)
  fs.mkdirSync(folder)
  for (const [file, bytes] of Object.entries(files)) {
    fs.mkdirSync(dirname(join(folder, file)), { recursive: true })
    fs.writeFileSync(join(folder, file), bytes)
  }
  return folder
}
