/** How far an operation is, as `onProgress` gets it. A total of 0 is not known. */
export type { Progress } from '../engine/index.js'

/** Set in the environment of a batch's jobs: they send the batch, as messages, how far they are. */
export const progressVariable = 'VDISK_PROGRESS_MESSAGES'
