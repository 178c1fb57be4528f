import type { GuestVolume } from './guest.js'

/** `blocks`: the disk does not start, or is not taken, for sure. `risk`: fails in common cases. */
export type DoctorSeverity = 'blocks' | 'risk' | 'note'

/** Something that keeps a disk from starting on a platform, or may. */
export interface DoctorFinding {
  /** Stable, upper case: `L-FSTAB-ABSENT`. L: Linux, W: Windows, F: firmware, D: the disk. */
  readonly id: string
  readonly severity: DoctorSeverity
  /** The file and line, partition or structure it is about. Text from the disk, to be escaped. */
  readonly where: string
  readonly found: string
  readonly wanted: string
  /** What comes of it. */
  readonly why: string
  /** `command`: one to be typed here. `inside-guest`: something to be done where the system still runs. */
  readonly remedy: { readonly kind: 'command' | 'inside-guest' | 'none'; readonly text: string }
}

/**
 * What mends a finding: other bytes in a file of the guest. Where `bytes` is longer or shorter than `old`, what follows
 * in the file moves; the file's size changes then, and must fit the blocks that it has.
 */
export interface FileEdit {
  readonly open: GuestVolume
  /** The file's path in its volume. */
  readonly path: string
  /** Where `old` stands in the file, in bytes. */
  readonly offset: number
  /** What stands there now: checked before anything is written. */
  readonly old: Uint8Array
  readonly bytes: Uint8Array
  /** Of changes that keep the size: what has a lower number is to be on the medium before it; 0 when left out. */
  readonly stage?: number
  /** `bytes` follow the file's end, in free blocks where its own have no room. */
  readonly allocates?: boolean
  /** What stands there then, for people; `wanted` of the finding when left out. */
  readonly becomes?: string
}

/** What is mended: bytes of configuration and of hives; modules behind an initramfs. */
export type MendPart = 'configuration' | 'initramfs'

/** Which part an edit belongs to. */
export function mendPartOf(edits: readonly FileEdit[]): MendPart {
  return edits.some(({ allocates }) => allocates === true) ? 'initramfs' : 'configuration'
}

/** What was not looked into. It may hold what keeps the disk from starting. */
export interface NotLooked {
  readonly what: string
  readonly why: string
  /** Whether the verdict depends on it. */
  readonly essential: boolean
}

export type DoctorVerdict = 'ready' | 'mendable' | 'blocked' | 'unknown'

const mostFindings = 200

/** What is found while a disk is looked at. */
export class DoctorReport {
  readonly findings: DoctorFinding[] = []
  /** What would mend findings. */
  readonly edits = new Map<DoctorFinding, readonly FileEdit[]>()
  /** Why others are not mended here, where that is known before it is planned. */
  readonly refusals = new Map<DoctorFinding, string>()
  /** What was looked at, in order. */
  readonly looked: string[] = []
  readonly notLooked: NotLooked[] = []

  /** @param edits what mends it, all of them together; whether they can be made is found out later. */
  add(finding: DoctorFinding, edits: readonly FileEdit[] = []): void {
    const same = (other: DoctorFinding): boolean =>
      other.id === finding.id && other.where === finding.where && other.found === finding.found
    if (this.findings.length >= mostFindings || this.findings.some(same)) return
    this.findings.push(finding)
    if (edits.length > 0) this.edits.set(finding, edits)
  }

  look(what: string): void {
    if (!this.looked.includes(what)) this.looked.push(what)
  }

  skip(what: string, why: string, essential = false): void {
    if (!this.notLooked.some((other) => other.what === what)) this.notLooked.push({ what, why, essential })
  }

  /** The worst first, then in the order of finding. */
  get sorted(): readonly DoctorFinding[] {
    const order = ['blocks', 'risk', 'note']
    return [...this.findings].sort((one, other) => order.indexOf(one.severity) - order.indexOf(other.severity))
  }

  /** @param findings as they are shown: with commands for those that are mended here. */
  verdict(findings: readonly DoctorFinding[]): DoctorVerdict {
    const blocking = findings.filter(({ severity }) => severity === 'blocks')
    if (blocking.length > 0) return blocking.every(({ remedy }) => remedy.kind === 'command') ? 'mendable' : 'blocked'
    return this.notLooked.some(({ essential }) => essential) ? 'unknown' : 'ready'
  }
}
