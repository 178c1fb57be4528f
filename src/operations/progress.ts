/** How far an operation is, as `onProgress` gets it. A total of 0 is not known. */
export type { Progress } from '../engine/index.js'
