import fs from 'node:fs'
import { basename, join, resolve } from 'node:path'
import type { TestContext } from 'node:test'
import { FileStore } from '../../src/block/file-store.js'
import { CutStore, type Random } from './power-cut.js'

/** A file that is written when it is closed. */
class CutFile extends CutStore {
  readonly #path: string

  constructor(path: string) {
    super(fs.readFileSync(path), path)
    this.#path = path
  }

  override [Symbol.dispose](): void {
    fs.writeFileSync(this.#path, this.contents())
  }
}

/**
 * While a test runs, files that are opened to be changed may lose what is not flushed. After every change `judge` gets
 * a folder with the
 * files as a power cut leaves them at that moment, all at once.
 * @param folder the files that belong together. @param every of the changes, one in so many is looked at.
 * `look` does so at once, after a change of the folder itself; `renamed` says that a file has another name.
 */
export function cutFiles(
  t: TestContext,
  folder: string,
  random: Random,
  every: () => boolean,
  judge: (cut: string, count: number) => void,
): {
  readonly count: () => number
  readonly stop: () => void
  readonly look: () => void
  readonly renamed: (from: string, to: string) => void
} {
  const open = new Map<string, CutFile>()
  const before = FileStore.openWrite.bind(FileStore)
  let count = 0
  const stop = (): void => {
    FileStore.openWrite = before
  }
  t.after(stop)
  const look = (): void => {
    count++
    if (!every()) return
    const cut = join(folder, 'cut')
    fs.rmSync(cut, { recursive: true, force: true })
    fs.mkdirSync(cut)
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      if (!entry.isFile()) continue
      const held = open.get(entry.name)
      if (held === undefined) fs.copyFileSync(join(folder, entry.name), join(cut, entry.name))
      else fs.writeFileSync(join(cut, entry.name), held.cut(random).contents())
    }
    judge(cut, count)
  }
  const renamed = (from: string, to: string): void => {
    const held = open.get(basename(from))
    open.delete(basename(from))
    if (held === undefined) open.delete(basename(to))
    else open.set(basename(to), held)
  }
  FileStore.openWrite = (path) => {
    const store = new CutFile(resolve(path))
    open.set(basename(path), store)
    store.onChange = look
    return store as unknown as FileStore
  }
  return { count: () => count, stop, look, renamed }
}
