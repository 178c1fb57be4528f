/** The name of the mark by which a blob is known again. */
export const markName = 'vdiskupload'

/** What a later run goes on with. */
export interface UploadState {
  readonly mark: string
  readonly lease: string
  readonly size: number
  /** Up to which byte everything was sent. */
  readonly sent: number
  /** Of all that was sent, in order: hexadecimal. */
  readonly digest: string
}

/** What an earlier run kept, where it is whole. */
export function uploadState(kept: unknown): UploadState | undefined {
  const state = kept as Partial<UploadState> | null | undefined
  const whole =
    typeof state?.mark === 'string' &&
    typeof state.lease === 'string' &&
    typeof state.digest === 'string' &&
    Number.isSafeInteger(state.size) &&
    Number.isSafeInteger(state.sent) &&
    Number(state.sent) > 0 &&
    Number(state.sent) < Number(state.size)
  return whole ? (state as UploadState) : undefined
}
