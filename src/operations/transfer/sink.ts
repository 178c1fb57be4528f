import type { Note } from '../../block/types.js'
import type { CopyResult, Progress } from '../../engine/index.js'
import { aborted, firstError, ImageError, isImageError } from '../../errors.js'
import type { OptionValues } from '../../formats/driver.js'
import type { Registry } from '../../formats/registry.js'
import type { Content } from './content.js'
import type { TargetFormat } from './layout.js'
import { runSteps, type Step } from './step.js'

export type SinkStepName = 'write' | 'compress' | 'verify' | 'place'

/** What was written. Bytes. */
export interface Transferred extends CopyResult {
  /** Of the new files, and what the filesystem holds for them; undefined where the target is no file. */
  readonly size?: number
  readonly allocated?: number
}

/** Steps that make something. Closing it takes back what is unfinished. */
export interface Making extends Disposable {
  readonly steps: readonly Step[]
  /** What an interruption leaves of the target, a sentence. */
  readonly left?: string | undefined
  /**
   * Takes back what was begun elsewhere, which takes time; before it is closed, when a step failed.
   * @returns what to say besides the error, a sentence.
   */
  takeBack?(): Promise<string | undefined>
}

/** Where the content of one transfer goes. The plan is `steps`, which is what runs. */
export interface Sink extends Making {
  readonly steps: readonly Step<SinkStepName>[]
  /** Bytes of the target's disk. */
  readonly capacity: number
  /** Bytes of the disk that the format gives, where the target is longer than that. */
  readonly given?: number
  /** What the user should know of the target. */
  readonly notes: readonly Note[]
  /** Bytes of it that an earlier run had sent, where that is known. */
  readonly resumed?: number
  /** What was done, when all steps have run. */
  readonly result: Transferred | undefined
}

/** How a sink is filled. */
export interface SinkOptions {
  /** Replaces what is there, when the new is complete; of an export: overwrites it. */
  readonly force?: boolean
  /** Waits until the medium has everything; default yes. */
  readonly flush?: boolean
  /** Reads back what was written, and compares every byte. */
  readonly verify?: boolean
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** A target that was named, before the source is opened. */
export interface Output {
  /** As results name it. */
  readonly name: string
  /** Where a new file is to stand; undefined where it is no file. */
  readonly path: string | undefined
  /** The name whose extension says which format the image is to have; undefined: raw, unless asked otherwise. */
  readonly formatName: string | undefined
  /** What results call the format, where it is not that of an image: `ova`. */
  readonly formatId?: string | undefined
  /** Whether it is a place of another computer. */
  readonly isRemote?: boolean | undefined
  /** By the id of a format: options that images have there where nothing else is asked for. */
  readonly usual?: Readonly<Record<string, OptionValues>> | undefined
  /** What is to be done next there for a platform, where it is not what follows a file. */
  next?(platform: string): readonly string[] | undefined
  /** Whether it takes several disks. */
  readonly takesDisks?: boolean | undefined
  /** Whether the content is moved by `Content.fill`, before anything of it is given out. */
  readonly movesOnce?: boolean
  /** The format of the images in it, where its name does not say so. @throws ImageError usage. */
  readonly format?: ((registry: Registry) => TargetFormat) | undefined
  /** What the options ask for and the target cannot have. @throws ImageError usage. */
  check(): void
  /**
   * Whether it can be made, as far as that can be known without the source. Of a place of another computer that takes
   * time, and is asked in any case, before the source is opened. @throws ImageError target, refused.
   */
  checkPlace(): void | Promise<void>
  /** @throws ImageError target, refused; those of connecting. */
  sink(content: Content, further?: readonly Content[]): Sink
}

/**
 * Carries out the plan of a sink, unless it is only to be shown, and closes it. An interruption says what is left at
 * the target.
 */
export async function runSink(sink: Making, dryRun = false): Promise<void> {
  try {
    using filling = sink
    if (!dryRun) await runOrTakeBack(filling)
  } catch (thrown) {
    const error = firstError(thrown)
    if (sink.left === undefined || !isImageError(error) || error.kind !== 'aborted') throw error
    throw aborted(error.message, { hint: sink.left, cause: error })
  }
}

async function runOrTakeBack(sink: Making): Promise<void> {
  try {
    await runSteps(sink.steps)
  } catch (thrown) {
    const said = await sink.takeBack?.()
    const error = firstError(thrown)
    if (said === undefined || !isImageError(error)) throw error
    const { kind, code, message, hint, details } = error
    throw new ImageError(kind, code, message, {
      hint: hint === undefined ? said : `${hint} ${said}`,
      details,
      cause: error,
    })
  }
}
