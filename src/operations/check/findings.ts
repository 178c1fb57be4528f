import type { Finding } from '../../formats/driver.js'

export type Severity = Finding['severity']

/** All findings of one code. */
export interface FindingGroup {
  readonly code: string
  readonly severity: Severity
  readonly count: number
}

const severities: readonly Severity[] = ['error', 'leak', 'warning']
/** More codes than any driver has: what a plugin makes up does not fill the memory. */
const mostCodes = 256

/** The findings of one image: all of them counted, the first ones of each code kept. */
export class FindingList {
  readonly #limit: number
  readonly #groups = new Map<
    string,
    { readonly code: string; readonly severity: Severity; readonly first: Finding[]; count: number }
  >()
  readonly counts: Record<Severity, number> = { error: 0, leak: 0, warning: 0 }

  /** @param limit how many of one code are kept. */
  constructor(limit: number) {
    this.#limit = limit
  }

  add(finding: Finding): void {
    const { code, severity } = finding
    this.counts[severity]++
    const key = `${severity} ${code}`
    let group = this.#groups.get(key)
    if (group === undefined) {
      if (this.#groups.size >= mostCodes) return
      group = { code, severity, first: [], count: 0 }
      this.#groups.set(key, group)
    }
    group.count++
    if (group.first.length < this.#limit) group.first.push(finding)
  }

  /** Whether a finding says the same as this code: E_CHECKSUM is W_CHECKSUM, with more knowledge. */
  hasLike(code: string): boolean {
    const name = code.slice(1)
    return [...this.#groups.values()].some((group) => group.code.slice(1) === name)
  }

  has(code: string): boolean {
    return [...this.#groups.values()].some((group) => group.code === code)
  }

  /** Errors first. */
  get groups(): FindingGroup[] {
    return this.#sorted().map(({ code, severity, count }) => ({ code, severity, count }))
  }

  /** Errors first; those of one code together. */
  get findings(): Finding[] {
    return this.#sorted().flatMap(({ first }) => first)
  }

  #sorted() {
    return severities.flatMap((severity) => [...this.#groups.values()].filter((group) => group.severity === severity))
  }
}
