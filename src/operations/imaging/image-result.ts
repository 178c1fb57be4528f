import type { Note } from '../../block/types.js'
import type { RangeSummary } from '../../engine/index.js'
import type { PlatformResult } from '../transfer/for-platform.js'
import type { ImageTarget } from '../transfer/image-target.js'
import type { VolumeUsage } from '../transfer/used-only.js'
import type { GuardAnswer } from './guards.js'
import type { Consistency, ImageRecord } from './record.js'
import type { SnapshotResult } from './source-snapshot.js'

/** What is going to happen, or has happened. */
export interface ImagingPlan {
  readonly guards: readonly GuardAnswer[]
  /** In order, a sentence each. */
  readonly steps: readonly string[]
  /** Bytes of the disk that are read. */
  readonly bytes: number
}

export interface ImageDiskResult {
  readonly source: ImageRecord['source']
  readonly target: ImageTarget
  readonly plan: ImagingPlan
  /** Of a dry run, what it would be. */
  readonly consistency: Consistency
  /** What could not be read, zero in the image. `map` is the map file. */
  readonly unreadable: RangeSummary & { readonly map?: string }
  readonly digests?: ImageRecord['digests']
  /** The record's path. */
  readonly record?: string
  readonly parts?: readonly number[]
  /** What the image is a child of. */
  readonly parent?: ImageRecord['parent']
  readonly volumes?: readonly VolumeUsage[]
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly verified: boolean
  readonly dryRun: boolean
  /** The snapshot that was read; of a dry run, would be. */
  readonly snapshot?: SnapshotResult
  /** Set when an image was gone on with. */
  readonly resumed?: boolean
  /** Bytes of the disk that an earlier run had copied, with {@link ImageDiskOptions.resume}. */
  readonly continued?: number
  readonly platform?: PlatformResult
  readonly notes: readonly Note[]
  readonly seconds: number
}
