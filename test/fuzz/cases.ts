import { builtinDrivers } from '../../src/formats/registry.js'
import type { WrapperDriver } from '../../src/formats/driver.js'
import { driver } from '../support/drivers.js'
import { exercise, refusal, type Outcome } from './exercise.js'
import { exerciseWrapped } from './exercise-wrapped.js'
import { exerciseFilesystem, filesystemSeeds, filesystemSubject } from './filesystems.js'
import { exerciseHive, hiveSeeds, hiveSubject } from './hives.js'
import { mutate } from './mutate.js'
import { Random } from './random.js'
import { seedImages, type SeedImage } from './seeds.js'
import { fuzzedWrappers, wrappedSeeds, wrapperOf } from './wrapped-seeds.js'
import { ProcessorTime } from '../support/processor-time.js'

/** What is no format: where its seeds come from, and what is done with a changed one. */
const subjects: Readonly<
  Record<string, { readonly seeds: () => SeedImage[]; readonly exercise: (image: SeedImage) => void }>
> = {
  [hiveSubject]: { seeds: hiveSeeds, exercise: ({ path, store }) => exerciseHive(path, store) },
  [filesystemSubject]: { seeds: filesystemSeeds, exercise: ({ store }) => exerciseFilesystem(store) },
}

/**
 * Every format built in, each of which needs fixtures that cases start from; hives of the registry; filesystems; and
 * what images lie in, as far as seeds can be made.
 */
export const fuzzedFormats = [...builtinDrivers.map(({ id }) => id), ...Object.keys(subjects), ...fuzzedWrappers]

/** Milliseconds and bytes that no case may pass. */
export const bounds = { milliseconds: 2000, bytes: 256 * 1024 * 1024 } as const

export interface Failure {
  readonly format: string
  readonly seed: number
  readonly index: number
  readonly image: string
  readonly changes: readonly string[]
  readonly message: string
}

/** The cases of one format and seed. Any of them can be run alone, and again. */
export class Cases {
  readonly #images: readonly SeedImage[]
  readonly #wrapper: WrapperDriver | undefined

  constructor(
    readonly format: string,
    readonly seed: number,
  ) {
    this.#wrapper = wrapperOf(format)
    this.#images =
      this.#wrapper === undefined ? (subjects[format]?.seeds() ?? seedImages(format)) : wrappedSeeds(format)
    if (this.#images.length === 0) throw new Error(`fixtures/ has no image of the format ${format}`)
  }

  /** @returns how it ended, or what was wrong with it. */
  run(index: number): Outcome | Failure {
    const random = new Random(this.seed, index)
    const image = random.pick(this.#images)
    let changes: readonly string[] = []
    const failure = (message: string): Failure => ({
      format: this.format,
      seed: this.seed,
      index,
      image: image.path,
      changes,
      message,
    })
    try {
      changes = mutate(this.format, image, random)
      const memory = process.memoryUsage.rss()
      const start = new ProcessorTime()
      const outcome = this.#exercise(image, random)
      const over = start.over(bounds.milliseconds)
      const grown = process.memoryUsage.rss() - memory
      if (over !== undefined) return failure(over)
      if (grown > bounds.bytes) return failure(`took ${Math.round(grown / 1048576)} MiB of memory`)
      return outcome
    } catch (error) {
      return failure(error instanceof Error ? (error.stack ?? error.message) : String(error))
    } finally {
      image.store.restore()
    }
  }

  #exercise(image: SeedImage, random: Random): Outcome {
    if (this.#wrapper !== undefined) return exerciseWrapped(this.#wrapper, image.store, random)
    const subject = subjects[this.format]
    if (subject === undefined) return exercise(driver(this.format), image.store, random)
    return refusal(() => subject.exercise(image)) ?? 'open'
  }
}
