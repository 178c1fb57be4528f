import { printable, refused, type ImageError } from '../../errors.js'
import { isName } from '../../location/location.js'
import { partialName, partialsOf } from '../../location/partial.js'
import fs from '../../sys/host-fs.js'
import { folderPart, inFolder, lastPart, realPath } from '../../sys/host-path.js'
import { JournalFile } from './journal-file.js'
import { ItemReader, JournalFault } from './journal-items.js'
import {
  factsOf,
  JournaledTarget,
  type GivenFacts,
  type JournalFacts,
  type PlacedFile,
  type SessionEnd,
} from './journaled-target.js'

const journalEnding = '.journal'

export interface SessionOptions extends SessionEnd {
  /** Whether it is waited until the medium has what counts as done. */
  readonly durable: boolean
  /** Whether a target that has its name already loses it again: something is to follow that was not done. */
  readonly takesBack?: boolean
}

/** What lets the making of a file be gone on with: a journal beside the partial file. */
export class FileSession extends JournaledTarget {
  readonly #path: string
  readonly #options: SessionOptions
  #isPlaced = false

  private constructor(path: string, options: SessionOptions) {
    super(options)
    this.#path = path
    this.#options = options
  }

  /**
   * Looks for what an earlier run left of a target. @param path where the target is to be; its folder by its real path.
   * @throws ImageError refused E_RESUME_BUSY.
   */
  static open(path: string, options: SessionOptions): FileSession {
    const session = new FileSession(path, options)
    for (const name of partialsOf(path, journalEnding)) session.#consider(name)
    return session
  }

  /** Whether an earlier run was ended when the target was complete and had its name. */
  get isPlaced(): boolean {
    return this.#isPlaced
  }

  /** The name that a file has until it is complete. */
  present(name: string): string {
    if (this.facts === undefined) throw new TypeError('the work was not begun')
    return partialName(name, this.facts.id)
  }

  override startAgain(reason: string): void {
    const partial = this.#partial
    super.startAgain(reason)
    fs.removeFileSync(partial)
  }

  protected get left(): string {
    return printable(this.#partial)
  }

  protected get anew(): string {
    return `Remove ${this.left} and ${this.left}${journalEnding} to begin anew.`
  }

  protected create({ version, identity, source, options }: GivenFacts): void {
    this.facts = {
      schema: 'vdisk.journal',
      schemaVersion: 1,
      version,
      target: lastPart(this.#path),
      id: partialName('').slice(-12),
      identity,
      source,
      options,
    }
    this.journal = JournalFile.create(this.#partial + journalEnding, this.facts, this.#options.durable)
  }

  get #folder(): string {
    return folderPart(this.#path)
  }

  get #partial(): string {
    return inFolder(this.#folder, this.present(lastPart(this.#path)))
  }

  #consider(name: string): void {
    const path = inFolder(this.#folder, name)
    const journal = JournalFile.open(path, this.#options.durable)
    if (journal === 'gone') return
    if (journal === 'busy') throw busy(this.#path, path)
    const facts = journal === 'damaged' ? undefined : this.#factsFor(journal.facts, name)
    if (journal === 'damaged' || facts === undefined) {
      if (journal !== 'damaged') journal[Symbol.dispose]()
      this.#drop(name)
      return
    }
    // One run leaves one; of several the first is as good as the others.
    if (this.journal !== undefined) {
      journal[Symbol.dispose]()
      return
    }
    const partial = inFolder(this.#folder, partialName(facts.target, facts.id))
    this.#isPlaced = this.#settlePlaces(journal, facts)
    if (this.#isPlaced) fs.removeFileSync(partial)
    if (!fs.existsSync(partial)) {
      journal.remove()
      return
    }
    this.journal = journal
    this.facts = facts
    this.found = true
  }

  /** Facts of this target, and of the partial file beside the journal. */
  #factsFor(value: unknown, name: string): JournalFacts | undefined {
    const facts = factsOf(value)
    return facts?.target === lastPart(this.#path) && partialName(facts.target, facts.id) + journalEnding === name
      ? facts
      : undefined
  }

  /** Whether the image has its name. Where it has not, files beside it that have theirs lose them again. */
  #settlePlaces(journal: JournalFile, { target, id }: JournalFacts): boolean {
    const here = (name: string): string => inFolder(this.#folder, name)
    const placed = placedFiles(journal).filter(({ name, inode, size }) => {
      const stat = isName(name) ? fs.statSync(here(name), { bigint: true, throwIfNoEntry: false }) : undefined
      return stat?.isFile() === true && String(stat.ino) === inode && String(stat.size) === size
    })
    if (this.#options.takesBack !== true && placed.some(({ name }) => name === target)) return true
    for (const { name, inode } of placed) {
      const partial = here(partialName(name, id))
      const other = fs.statSync(partial, { bigint: true, throwIfNoEntry: false })
      if (other === undefined) fs.renameSync(here(name), partial)
      // Its second name, given and not taken back yet; what another file has stays.
      else if (String(other.ino) === inode) fs.unlinkSync(here(name))
    }
    return false
  }

  /** What cannot be used goes, by name. */
  #drop(journalName: string): void {
    const partial = journalName.slice(0, -journalEnding.length)
    for (const name of [partial, journalName]) fs.removeFileSync(inFolder(this.#folder, name))
    this.notes.push({
      code: 'W_STARTED_AGAIN',
      message:
        `what an earlier run left in ${printable(partial)} was not used, because its journal is damaged: ` +
        'it begins anew',
    })
  }
}

/** Whether an earlier run left something of a target that can be gone on with. */
export function hasJournal(path: string): boolean {
  return partialsOf(realPath(path) ?? path, journalEnding).length > 0
}

/** The files that were about to get their names; none where it had not come to that. */
function placedFiles(journal: JournalFile): readonly PlacedFile[] {
  const items = new ItemReader(Number.MAX_SAFE_INTEGER)
  let files: unknown = []
  try {
    for (const payload of journal.records())
      for (const item of items.items(payload)) if (item.kind === 'placing') files = JSON.parse(item.text)
  } catch (error) {
    // It is looked at more closely when the copy goes on.
    if (!(error instanceof JournalFault || error instanceof SyntaxError)) throw error
    return []
  }
  if (!Array.isArray(files)) return []
  return (files as readonly (Partial<PlacedFile> | null)[]).flatMap((file) =>
    typeof file?.name === 'string' && typeof file.inode === 'string' && typeof file.size === 'string'
      ? [{ name: file.name, inode: file.inode, size: file.size }]
      : [],
  )
}

function busy(path: string, journal: string): ImageError {
  return refused('E_RESUME_BUSY', `another process is making ${printable(path)}`, {
    hint: 'Wait for it, or stop it.',
    details: { journal, partial: journal.slice(0, -journalEnding.length) },
  })
}
