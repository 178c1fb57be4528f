import { MemoryStore } from '../../block/memory-store.js'
import type { Container } from '../../codec/container.js'
import { printable, refused, targetError, usage, type Label } from '../../errors.js'
import type { DiskShape, OptionValues } from '../../formats/driver.js'
import type { Registry } from '../../formats/registry.js'
import type { Location } from '../../location/location.js'
import type { StandingObject, UploadTarget } from '../../location/upload.js'
import { lastPart } from '../../sys/host-path.js'
import { shellWord } from '../../sys/shell-word.js'
import type { TargetFormat } from '../transfer/layout.js'
import { compressedTarget } from '../transfer/sink-compressed.js'
import { refuseAddress } from '../transfer/target.js'
import { usualFormat } from '../transfer/target-output.js'
import { heatText, type GuardAnswer, type Heat } from './guards.js'
import { imageRecordPath, salvageMapPath } from './companions.js'

/** A small file that belongs to an object of another computer, beside it. */
class SmallFile {
  readonly #target: UploadTarget
  #standing: StandingObject | undefined

  constructor(target: UploadTarget) {
    this.#target = target
  }

  get label(): Label {
    return this.#target.label
  }

  /** @throws ImageError target E_EXISTS, unless it may be replaced; those of asking. */
  async check(force: boolean): Promise<void> {
    this.#standing = await this.#target.look()
    if (this.#standing !== undefined && !force)
      throw targetError('E_EXISTS', `${this.label} exists already, and belongs to an image of that name`, {
        hint: 'Use --force to replace it.',
      })
  }

  /** Writes it, whole or not at all. @throws ImageError target. */
  async put(text: string, signal?: AbortSignal): Promise<void> {
    const bytes = Buffer.from(text)
    const { length: size } = bytes
    const upload = await this.#target.begin({
      size,
      most: size,
      image: undefined,
      replaces: this.#standing,
      isPrivate: true,
      signal,
    })
    try {
      await upload.write(0, bytes)
      this.#standing = await upload.commit(size)
    } catch (error) {
      await upload.abort()
      throw error
    }
  }

  /** Removes it, where it is what was seen or written. */
  async remove(): Promise<void> {
    if (this.#standing === undefined) return
    const { size = 0, version } = this.#standing
    if ((await this.#target.remove?.({ size, version })) === true) this.#standing = undefined
  }
}

/** What is asked of an image that is sent to an address. */
interface Wanted {
  readonly source: string
  readonly since?: string
  readonly changed?: string
  readonly resume?: boolean
}

/** The address that an image of a disk is sent to, and what belongs to the image there. */
export class ImageAddress implements Disposable {
  readonly target: UploadTarget
  readonly label: Label
  /** Without folders. */
  readonly name: string
  /** What its name says: a compressed file around the image. */
  readonly container: Container | undefined
  /** The record and the map beside it, where objects have neighbours there. */
  readonly record: SmallFile | undefined
  readonly map: SmallFile | undefined
  readonly #formatName: string | undefined
  readonly #kept: Disposable | undefined
  #standing: StandingObject | undefined

  private constructor(
    readonly location: Location,
    target: UploadTarget,
  ) {
    this.target = target
    this.label = target.label
    this.#kept = target.keep?.()
    const name = location.name ?? target.fileName
    const packed = compressedTarget(name)
    this.name = lastPart(name ?? 'disk')
    this.container = packed?.container
    this.#formatName = packed?.inner ?? name
    const beside = (ending: string): SmallFile | undefined =>
      target.beside === undefined ? undefined : new SmallFile(target.beside(ending))
    this.record = beside(imageRecordPath(''))
    this.map = beside(salvageMapPath(''))
  }

  /**
   * What a target is; undefined where it is a file of this computer.
   * @throws ImageError usage E_TARGET where nothing is written to such an address; E_STREAM, E_RESUME.
   */
  static of(path: string, registry: Registry, wanted: Wanted): ImageAddress | undefined {
    const location = registry.schemes.locate(path)
    if (location.upload === undefined) {
      refuseAddress(
        path,
        `Name a file, or the address of an object (ssh://, oci://, Azure, and what plug-ins know: s3://bucket/key). ` +
          `vdisk convert ${shellWord(wanted.source)} ADDRESS also writes to exports of NBD servers: that makes no ` +
          'record, and ends where the disk cannot be read.',
      )
      return undefined
    }
    const address = new ImageAddress(location, location.upload())
    if (wanted.changed !== undefined)
      throw usage('E_STREAM', `${address.label}: an image that is sent to an address is of the whole disk`, {
        hint: 'Leave out --changed and --since, or name a file of this computer.',
      })
    if (wanted.since !== undefined)
      throw usage('E_STREAM', `${address.label}: an image that is sent to an address cannot have a parent`, {
        hint: 'Leave out --since, or name a file of this computer.',
      })
    if (wanted.resume === true)
      throw usage('E_RESUME', `${address.label}: an image that is sent to an address is not resumed`, {
        hint:
          'Leave out --resume. A disk that nothing writes to can be copied by vdisk convert ' +
          `${shellWord(wanted.source)} ADDRESS --resume, which makes no record.`,
      })
    return address
  }

  [Symbol.dispose](): void {
    this.#kept?.[Symbol.dispose]()
  }

  /** What stands there and is replaced when the new image is complete. */
  get standing(): StandingObject | undefined {
    return this.#standing
  }

  /** The format of the image. @throws ImageError usage, as `targetFormat` and {@link UploadTarget.check}. */
  format(registry: Registry, to: string | undefined, chosen: OptionValues): TargetFormat {
    const named = { formatName: this.#formatName, usual: this.target.usual }
    const format = usualFormat(named, registry, to, chosen)
    const { driver, options } = format
    if (this.container !== undefined && driver.plain !== true)
      throw usage('E_STREAM', `${this.label}: only raw images are compressed as a whole on their way to an address`, {
        hint: 'Give the name of an image that is compressed itself (disk.qcow2, with --compress), or use --to raw.',
      })
    this.target.check?.({ format: driver.id, options, isPlain: driver.plain === true })
    return format
  }

  /** @throws ImageError target E_EXISTS; those of asking the server. */
  async check(force: boolean): Promise<void> {
    this.#standing = await this.target.look()
    if (this.#standing !== undefined && !force)
      throw targetError('E_EXISTS', `the target ${this.label} exists already`, { hint: 'Use --force to replace it.' })
    await this.record?.check(force)
    await this.map?.check(force)
  }

  /** It is another computer, as far as can be seen from here. */
  get sameDisk(): GuardAnswer {
    return { guard: 'same-disk', verdict: 'passed', why: `the image is sent to ${this.label}` }
  }
}

/**
 * Whether an image can be made while its source is read once. Others are read twice: their tables stand before what
 * they map.
 */
export function isReadOnce({ driver, options }: TargetFormat, shape: DiskShape): boolean {
  using store = new MemoryStore(undefined, 'the layout', 512)
  using writer = driver.create(store, shape, options, {
    onePass: true,
    createFile: (name) => new MemoryStore(undefined, name, 512),
  })
  return writer.sequential === true || writer.appends === true
}

/** @throws ImageError refused E_HOT_SOURCE where the disk would be read twice, and change in between. */
export function refuseHot(name: string, heat: Heat, isHeld: boolean, driver: string): void {
  const isStill = isHeld && heat.others.length === 0
  if (!heat.hot || isStill) return
  throw refused(
    'E_HOT_SOURCE',
    `an image in the format ${driver} that is sent to an address reads ${printable(name)} twice, and it changes ` +
      `meanwhile: ${heatText(heat)}`,
    {
      hint:
        'Read a snapshot (--snapshot auto), freeze the filesystems (--freeze), or send what is read once: ' +
        'a raw image (--to raw), also compressed (disk.raw.zst). No flag overrides this.',
    },
  )
}
