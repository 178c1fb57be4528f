/** What is kept of a blob that is being sent. */
export interface BlobState {
  /** Where the next chunk goes, as the registry said; empty: the blob is complete. */
  readonly location: string
  /** Bytes that the registry has for certain, and their SHA-256 in hexadecimal. */
  readonly sent: number
  readonly digest: string
}

/** How a blob is gone on with: what an earlier run kept, and where that of this one is kept. */
export interface KeptBlob {
  readonly earlier: unknown
  readonly save: (state: unknown) => void
  /** After it no further chunk is begun; what is on its way arrives. */
  readonly signal?: AbortSignal
}

/** What is kept where there is nothing to go on with. */
export const nothingKept = {}

/** What an earlier run kept, where it is whole: it may be anything. */
export function blobState(kept: unknown): BlobState | undefined {
  const { location, sent = -1, digest } = (kept ?? {}) as Partial<BlobState>
  const isWhole = typeof location === 'string' && typeof digest === 'string' && Number.isSafeInteger(sent) && sent >= 0
  return isWhole && (sent === 0 || /^[0-9a-f]{64}$/.test(digest)) ? { location, sent, digest } : undefined
}
