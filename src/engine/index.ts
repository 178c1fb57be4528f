export { copy, type CopyOptions, type CopyResult, type CopyTarget } from './copy.js'
export { compareSources, type CompareOptions, type CompareResult } from './compare.js'
export { stream, type StreamOptions, type StreamTarget } from './stream.js'
export type { Progress } from './progress.js'
