import fs from '../sys/host-fs.js'
import tmp from 'tmp'
import { writeError, FileStore } from './file-store.js'
import { inFolder, lastPart } from '../sys/host-path.js'

/**
 * A file for bytes that must be there once and then be gone: standard input, which cannot be read twice. Its name is
 * taken away as soon
 * as it is open, so that nothing stays behind however the process ends.
 * @param folder where it is made; it may grow as large as what is put in.
 * @throws ImageError target E_NO_FOLDER, E_WRITE_PERMISSION, E_WRITE.
 */
export function createScratchStore(folder: string): FileStore {
  let path: string
  try {
    // The name alone: the package knows folders as text.
    path = inFolder(fs.realpathSync(folder), lastPart(tmp.tmpNameSync({ tmpdir: '/', prefix: '.vdisk-scratch' })))
  } catch (cause) {
    throw writeError(folder, 'cannot hold a scratch file', cause)
  }
  const store = FileStore.create(path, true, path, 0o600)
  try {
    fs.unlinkSync(path)
  } catch (cause) {
    store[Symbol.dispose]()
    throw writeError(path, 'cannot be unlinked while it is open', cause)
  }
  return store
}
