import { printable, reference } from '../../../errors.js'
import { fromUtf16, isPlainText, nameBytes } from '../../../sys/host-fs.js'
import type { ParentReference, ParentShape } from '../../driver.js'

/** Names of formats in qemu's words, where ours differ. */
const ourFormats: Readonly<Record<string, string>> = { vpc: 'vhd', file: 'raw', host_device: 'raw' }
const qemuFormats: Readonly<Record<string, string>> = { vhd: 'vpc' }

/** The name qemu records for one of our formats. */
export function qemuFormat(format: string): string {
  return qemuFormats[format] ?? format
}

/** Our id of a format that qemu recorded; one we do not know is kept as it is. */
export function formatOf(recorded: string): string {
  return Object.hasOwn(ourFormats, recorded) ? (ourFormats[recorded] ?? recorded) : recorded
}

/** A name as we write it for a parent: one with a colon would be taken for a protocol. */
export function storedName({ relativePath, name = relativePath }: ParentShape): Buffer {
  return nameBytes(plainName(name))
}

function plainName(relativePath: string): string {
  const colon = relativePath.indexOf(':')
  const slash = relativePath.indexOf('/')
  return colon >= 0 && (slash < 0 || colon < slash) ? `./${relativePath}` : relativePath
}

/**
 * The parent of a QCOW2 image. `info` shows the name as it stands (`backingFile`); `paths` is asked for only where the
 * file is to be
 * opened, and throws reference E_BACKING_UNSUPPORTED for names that are no plain file: protocols, json: with anything
 * but a plain file.
 */
export class BackingReference implements ParentReference {
  readonly format?: string
  readonly #name: string
  readonly #imageName: string
  readonly #resolved: Resolved

  /** @param recordedFormat the backing format extension; @param imageName for messages. */
  constructor(name: string, recordedFormat: string | undefined, imageName: string) {
    this.#name = name
    this.#imageName = imageName
    this.#resolved = resolve(name)
    const format =
      this.#resolved.format ?? (recordedFormat === undefined || recordedFormat === '' ? undefined : recordedFormat)
    if (format !== undefined) this.format = formatOf(format)
  }

  get paths(): readonly string[] {
    if (this.#resolved.path === undefined) {
      throw reference(
        'E_BACKING_UNSUPPORTED',
        `${this.#imageName}: its backing file "${printable(this.#name)}" is not opened: ${this.#resolved.why}`,
        {
          hint: 'Copy the backing file beside the image and record its plain name.',
        },
      )
    }
    return [this.#resolved.path]
  }

  verify(): void {
    // QCOW2 records no identity of its backing file, and sizes may differ: there is nothing to compare.
  }
}

type Resolved = { readonly format?: string } & (
  { readonly path: string } | { readonly path: undefined; readonly why: string }
)

function resolve(name: string): Resolved {
  const protocol = /^([^/:]{2,}):/.exec(name)?.[1]?.toLowerCase()
  if (protocol === undefined) return { path: name }
  if (protocol === 'file') return { path: name.slice('file:'.length) }
  if (protocol === 'json') return resolveJson(name.slice('json:'.length))
  return { path: undefined, why: `"${printable(protocol)}:" is no plain file` }
}

/** Drivers of formats that take their bytes from `file`, and drivers that are the file itself. */
const formatDrivers = new Set([
  'raw',
  'qcow2',
  'qcow',
  'vpc',
  'vhdx',
  'vmdk',
  'vdi',
  'qed',
  'parallels',
  'bochs',
  'cloop',
  'dmg',
])
const fileDrivers = new Set(['file'])
/** Settings of qemu's block layer that do not change what is read. */
const harmless = new RegExp(
  '(^|\\.)(node-name|read-only|auto-read-only|discard|detect-zeroes|force-share|locking|aio|cache\\..*|' +
    'pr-manager|drop-cache|x-check-cache-dropped)$',
)
const maximumDepth = 8

/**
 * The plain file behind `json:{"driver": "qcow2", "file": {"driver": "file", "filename": …}}` and its dotted spellings.
 */
function resolveJson(text: string): Resolved {
  const flat = readOptions(text)
  if (typeof flat === 'string') return unresolved(flat)
  for (const [key, value] of flat)
    if (!understood.has(key) && !harmless.test(key))
      return unresolved(`its option ${printable(key)}=${printable(value)} is not supported`)
  const driver = flat.get('driver')
  const inner = flat.get('file.driver')
  const isFile = driver !== undefined && fileDrivers.has(driver)
  if (driver !== undefined && !isFile && !formatDrivers.has(driver))
    return unresolved(`its driver "${printable(driver)}" is not supported`)
  if (!isFile && inner !== undefined && !fileDrivers.has(inner))
    return unresolved(`its driver "${printable(inner)}" is no plain file`)
  const path = flat.get(isFile ? 'filename' : 'file.filename')
  if (path === undefined || flat.has(isFile ? 'file.filename' : 'filename')) return unresolved('it names no file')
  return isFile || driver === undefined ? { path } : { path, format: driver }
}

const understood: ReadonlySet<string> = new Set(['driver', 'filename', 'file.driver', 'file.filename'])

function unresolved(why: string): Resolved {
  return { path: undefined, why }
}

/** The options of a block device by their dotted names; or why there are none. */
function readOptions(text: string): ReadonlyMap<string, string> | string {
  if (!isPlainText(text)) return 'what follows json: is not UTF-8'
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return 'what follows json: is not JSON'
  }
  const flat = new Map<string, string>()
  if (typeof parsed !== 'object' || parsed === null || !flatten(parsed, '', flat, 0))
    return 'what follows json: is no set of block device options'
  return flat
}

function flatten(value: object, prefix: string, into: Map<string, string>, depth: number): boolean {
  if (depth > maximumDepth || Array.isArray(value)) return false
  for (const [key, item] of Object.entries(value) as [string, unknown][]) {
    if (typeof item === 'object' && item !== null) {
      if (!flatten(item, `${prefix}${key}.`, into, depth + 1)) return false
    } else {
      into.set(`${prefix}${key}`, typeof item === 'string' ? fromUtf16(item) : String(item))
    }
  }
  return true
}
