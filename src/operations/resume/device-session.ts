import { printable, refused } from '../../errors.js'
import fs from '../../sys/host-fs.js'
import { absolute, folderPart } from '../../sys/host-path.js'
import { JournalFile } from './journal-file.js'
import { ItemReader, JournalFault } from './journal-items.js'
import { resumeFile } from './resume-folder.js'
import { factsOf, JournaledTarget, type GivenFacts, type SessionEnd } from './journaled-target.js'

/** A disk or partition that is written: what the system calls it now, and by what it is known again. */
export interface JournaledDevice {
  readonly node: string
  /** Serial number, size and so on. */
  readonly known: Readonly<Record<string, string>>
}

export interface DeviceSessionOptions extends SessionEnd {
  /** The journal's path; default: a file of the folder of states, named after the device. */
  readonly journal?: string
  /** @throws ImageError refused where the journal would lie on the device. */
  readonly guardPlace: (path: string) => void
}

/** What lets the writing of a device be gone on with: a journal that lies elsewhere, never on it. */
export class DeviceSession extends JournaledTarget {
  readonly #device: JournaledDevice
  readonly #path: string

  private constructor(device: JournaledDevice, path: string, options: DeviceSessionOptions) {
    super(options)
    this.#device = device
    this.#path = path
  }

  /**
   * Looks for the journal of a device. @throws ImageError refused E_RESUME_BUSY; target where its folder cannot be
   * made.
   */
  static open(device: JournaledDevice, options: DeviceSessionOptions): DeviceSession {
    // The same command finds it again, whatever the device is called by then.
    const { journal } = options
    const path =
      journal === undefined ? resumeFile('device', JSON.stringify(device.known), 'journal') : absolute(journal)
    options.guardPlace(path)
    const session = new DeviceSession(device, path, options)
    session.#find()
    return session
  }

  /** Whether all was on the device but its first and last bytes. */
  get isPlacing(): boolean {
    if (!this.found) return false
    const items = new ItemReader(Number.MAX_SAFE_INTEGER)
    try {
      for (const payload of this.opened.records())
        for (const item of items.items(payload)) if (item.kind === 'placing') return true
    } catch (error) {
      if (!(error instanceof JournalFault)) throw error
    }
    return false
  }

  protected get left(): string {
    return `${printable(this.#device.node)} (journal ${printable(this.#path)})`
  }

  protected get anew(): string {
    return `Remove ${printable(this.#path)} to begin anew.`
  }

  protected create({ version, identity, source, options }: GivenFacts): void {
    this.facts = {
      schema: 'vdisk.journal',
      schemaVersion: 1,
      version,
      target: JSON.stringify(this.#device.known),
      id: '00000000',
      identity,
      source,
      options,
    }
    this.journal = JournalFile.create(this.#path, this.facts, true)
  }

  #find(): void {
    fs.mkdirSync(folderPart(this.#path), { recursive: true, mode: 0o700 })
    const journal = JournalFile.open(this.#path, true)
    if (journal === 'gone') return
    if (journal === 'busy')
      throw refused('E_RESUME_BUSY', `another process is writing ${printable(this.#device.node)}`, {
        hint: 'Wait for it, or stop it.',
        details: { journal: this.#path },
      })
    const facts = journal === 'damaged' ? undefined : factsOf(journal.facts)
    if (journal === 'damaged' || facts === undefined) {
      if (journal !== 'damaged') journal[Symbol.dispose]()
      this.#dropDamaged()
      return
    }
    if (facts.target !== JSON.stringify(this.#device.known)) {
      journal[Symbol.dispose]()
      throw refused(
        'E_RESUME_TARGET',
        `the journal ${printable(this.#path)} is of another device than ${printable(this.#device.node)}`,
        { hint: this.anew, details: { then: facts.target, now: JSON.stringify(this.#device.known) } },
      )
    }
    this.journal = journal
    this.facts = facts
    this.found = true
  }

  /** Only a file that a journal once was is taken away. */
  #dropDamaged(): void {
    if (!JournalFile.looksLikeOne(this.#path))
      throw refused('E_RESUME_TARGET', `${printable(this.#path)} is there, and is no journal of vdisk`, {
        hint: 'Name another file with --journal.',
      })
    fs.removeFileSync(this.#path)
    this.notes.push({
      code: 'W_STARTED_AGAIN',
      message: `the journal ${printable(this.#path)} is damaged, and was not used: the writing begins anew`,
    })
  }
}
