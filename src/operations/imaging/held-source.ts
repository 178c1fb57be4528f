import { FrozenFilesystems } from '../../device/freeze.js'
import type { Step } from '../transfer/step.js'
import { consistencyOf, type Heat } from './guards.js'
import type { Consistency } from './record.js'

export interface HeldSourceOptions {
  readonly heat: Heat
  /** Whether the disk was opened so that nobody can mount it meanwhile. */
  readonly exclusive: boolean
  /** Whether mounted filesystems are frozen. */
  readonly freezes: boolean
  /**
   * Where no disk of this computer is read itself, but a snapshot of it or the disk of a virtual machine: what an image
   * of that is worth, and how it is made sure that it was whole to the end.
   */
  readonly moment?: {
    readonly consistency: Consistency
    /** For people. */
    readonly checking: string
    readonly check: () => Promise<void>
  }
}

/** The source while it is read: what is frozen, and what its image is worth. Closing it lets filesystems go. */
export class HeldSource implements Disposable {
  readonly #options: HeldSourceOptions
  #frozen: FrozenFilesystems | undefined

  constructor(options: HeldSourceOptions) {
    this.#options = options
  }

  /** What is done before anything is read. */
  get before(): Step[] {
    const { heat, freezes } = this.#options
    return when(freezes, {
      name: 'freeze',
      message: `freeze: ${[...new Set(heat.written.map(({ point }) => point))].join(', ')}`,
      run: () => {
        this.#frozen = FrozenFilesystems.freeze(heat.mounts)
      },
    })
  }

  /** What is done when all is read. */
  get after(): Step[] {
    const { freezes, moment } = this.#options
    return [
      ...when(moment !== undefined, {
        name: 'check',
        message: moment?.checking ?? '',
        run: () => moment?.check(),
      }),
      ...when(freezes, {
        name: 'release',
        message: 'let the filesystems go',
        run: () => this.#frozen?.[Symbol.dispose](),
      }),
    ]
  }

  /** What the image will be worth, as far as it is known beforehand; afterwards, what it is worth. */
  get consistency(): Consistency {
    const { heat, exclusive, freezes, moment } = this.#options
    if (moment !== undefined) return moment.consistency
    const frozen = freezes
      ? (this.#frozen ?? { frozen: heat.written.map(({ point }) => point), refused: [] })
      : undefined
    return consistencyOf(heat, exclusive, frozen)
  }

  [Symbol.dispose](): void {
    this.#frozen?.[Symbol.dispose]()
  }
}

export function when(wanted: boolean, step: Step): Step[] {
  return wanted ? [step] : []
}
