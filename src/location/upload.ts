import type { Note } from '../block/types.js'
import type { Label } from '../errors.js'

/** What stands at an address that is written to. */
export interface StandingObject {
  /** Bytes, where the server says so. */
  readonly size?: number
  /** What names this version of it for good: a strong ETag, as the server sends it. */
  readonly version?: string
}

/** What is known of an upload before its first byte. */
export interface UploadPlan {
  /** Bytes of all of it; undefined where that is known at the end only (a compressed stream). */
  readonly size: number | undefined
  /** What comes; undefined of what is no image (an archive). */
  readonly image?: UploadImage
  /** No more bytes than this will come. An estimate from above, where the size is not known. */
  readonly most: number
  /**
   * What may be replaced, and is as long as nothing is complete. Undefined: nothing stood there, and what appears
   * meanwhile is not replaced (E_EXISTS).
   */
  readonly replaces: StandingObject | undefined
  /** It is for its owner alone, where files have permissions: the content of a disk. */
  readonly isPrivate?: boolean
  /** What an earlier run gave to `save`; undefined: it begins anew. */
  readonly earlier?: unknown
  /** Keeps what a later run can go on with, as JSON; undefined: nothing is to be gone on with. */
  readonly save?: (state: unknown) => void
  /** What an object that carries notes ({@link UploadTarget.takesNote}) is to say: JSON, asked for by `commit`. */
  readonly note?: () => string
  /** Ends requests that are under way. `abort` is still called, and is not ended by it. */
  readonly signal?: AbortSignal
}

/** What was made. */
export interface UploadedObject extends StandingObject {
  readonly size: number
  readonly notes?: readonly Note[]
}

/** A new object that is not complete. Its bytes come in ascending order, each once. */
export interface Upload {
  /**
   * Takes the bytes at a position. They are used again when the promise is resolved; it may be resolved before the
   * server has them. What {@link UploadTarget.isSparse} targets are not given is zero.
   * @throws ImageError target; also for a piece that came before.
   */
  write(position: number, bytes: Uint8Array): Promise<void>
  /**
   * Waits for everything, and makes it the object at the address. @param size bytes of all of it.
   * @throws ImageError target E_EXISTS, E_WRITE, E_TARGET_CHANGED.
   */
  commit(size: number): Promise<UploadedObject>
  /**
   * Removes what was begun, and nothing that somebody else has. Called once, instead of `commit` or after it failed.
   * What {@link UploadPlan.save} was given may stay for a later run. @returns what is left, a sentence.
   */
  abort(): Promise<string | undefined>
  /** Bytes that an earlier run had sent, and that were found there. */
  readonly resumed?: number
}

/** What is asked of a target before the source is read. */
export interface UploadImage {
  /** The id of the image's format: `vhd`. */
  readonly format: string
  /** As chosen or by default: `{ subformat: 'fixed' }`. */
  readonly options: Readonly<Record<string, unknown>>
  /** Whether the file is the disk. */
  readonly isPlain: boolean
}

/**
 * A place of another computer that takes whole objects: a location gives it as {@link Location.upload}. Everything here
 * waits for the network without blocking. Labels and messages name no secrets.
 */
export interface UploadTarget {
  readonly label: Label
  /** Bytes that are not written read as zero there (pages): only what is stored is sent. */
  readonly isSparse?: boolean
  /** Whether an upload can be gone on with by a later run. */
  readonly resumes?: boolean
  /** It puts the image into an archive of its own: a platform's archive is not made. */
  readonly packs?: boolean
  /** What the image is called there, where the address does not say it: its format follows, unless `--to` says it. */
  readonly fileName?: string
  /** By the id of a format: options that images have there where nothing else is asked for. */
  readonly usual?: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** What is to be done next there for a platform (`azure-gen2`), where it is not what follows a file. */
  next?(platform: string): readonly string[] | undefined
  /** What is to be said of the target beforehand, such as how it is guarded. */
  readonly notes?: readonly Note[]
  /** Whether the object carries a small text with it, which appears with it ({@link UploadPlan.note}). */
  readonly takesNote?: boolean
  /**
   * The place of a small file that belongs to the object: its name with an ending (`.vdisk.json`) behind it. Undefined
   * where objects have no neighbours.
   */
  beside?(ending: string): UploadTarget
  /**
   * Keeps the connection open for what is asked next, of the object and of what lies beside it, until it is closed.
   * To be called first.
   */
  keep?(): Disposable
  /** What it cannot take. @throws ImageError usage, target. */
  check?(image: UploadImage): void
  /**
   * What stands there; undefined where nothing does. @param earlier what an earlier run kept ({@link UploadPlan}): what
   * that one began does not stand there. @throws ImageError usage, target E_READ.
   */
  look(earlier?: unknown): Promise<StandingObject | undefined>
  /** Begins a new object. @throws ImageError target E_EXISTS, E_WRITE, E_WRITE_PERMISSION. */
  begin(plan: UploadPlan): Promise<Upload>
  /**
   * Removes an object that was made by `commit` and turned out to be wrong, if it is still that version.
   * @returns whether it is gone.
   */
  remove?(made: UploadedObject): Promise<boolean>
}
