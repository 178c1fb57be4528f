/** Something that is wrong with an image. */
export interface Finding {
  /** Stable, upper case: `E_OVERLAP`. */
  readonly code: string
  /**
   * `error`: the disk's content is lost, ambiguous, or in danger when it is written; `leak`: space of the file that
   * nothing uses; `warning`: odd, and harmless to the content.
   */
  readonly severity: 'error' | 'warning' | 'leak'
  /** The structure it is found in, by the specification's name: `BAT entry 12`. */
  readonly structure: string
  /** Where it stands in the file, in bytes. */
  readonly position?: number
  readonly message: string
}

/** The same where the user wants the data nevertheless: `W_CHECKSUM` for `E_CHECKSUM`. */
export function asWarning(finding: Finding): Finding {
  return finding.severity === 'error'
    ? { ...finding, severity: 'warning', code: finding.code.replace(/^E_/, 'W_') }
    : finding
}
