/**
 * How far an operation is. Counts are absolute, in bytes of the virtual disk; of `jobs` they are jobs, and of `npm`
 * there is one.
 */
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
    | 'jobs'
    | 'npm'
  readonly done: number
  readonly total: number
}
