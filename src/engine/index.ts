export { copy, type CopyOptions, type CopyResult } from './copy.js'
export { compareSources, type CompareResult } from './compare.js'
export type { Progress } from './progress.js'
