/** How far a bulk operation is. Counts are absolute, in bytes of the virtual disk. */
export interface Progress {
  readonly phase:
    | 'unpack'
    | 'read'
    | 'copy'
    | 'write'
    | 'flush'
    | 'verify'
    | 'stream'
    | 'check'
    | 'compare'
    | 'hash'
    | 'measure'
    | 'repair'
  readonly done: number
  readonly total: number
}
