import { codecFor } from '../../codec/registry.js'
import type { Packing } from '../../block/image-writer.js'
import { printable } from '../../errors.js'
import type { OptionValues } from '../../formats/driver.js'
import type { ImageFile } from '../../formats/opened.js'
import type { RecordedSource } from '../imaging/record.js'
import fs from '../../sys/host-fs.js'
import { nodeMajor } from '../../sys/self.js'
import { withoutSecrets } from '../../sys/secrets.js'

/** What a source is known by. Decimal numbers, since nanoseconds do not fit into one of JSON. */
export interface SourceFacts {
  readonly capacity: number
  readonly files: readonly SourceFile[]
  /** Of a disk: what it says of itself. */
  readonly disk?: Readonly<Record<string, string>>
}

interface SourceFile {
  readonly size: string
  /** When its content and its inode changed, of a file of this computer. */
  readonly modified?: string
  readonly changed?: string
}

/** The files of a source as they are now. */
export function sourceFacts(files: readonly ImageFile[], capacity: number): SourceFacts {
  return { capacity, files: files.map(sourceFile) }
}

function sourceFile({ path, device, inode, size }: ImageFile): SourceFile {
  const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  // What is no file of this computer, or is something else by that name by now, is known by its samples.
  if (stat?.isFile() !== true || stat.dev !== device || stat.ino !== inode) return { size: String(size) }
  return { size: String(stat.size), modified: String(stat.mtimeNs), changed: String(stat.ctimeNs) }
}

/** What a disk or partition is known by; its path may be another tomorrow. @param capacity bytes. */
export function recordedFacts(recorded: RecordedSource, capacity: number): SourceFacts {
  return { capacity, files: [], disk: optionFacts({ ...recorded, path: undefined }) }
}

/** What differs between a source as it was and as it is, an end of a sentence; undefined where nothing does. */
export function sourceDifference(before: SourceFacts, now: SourceFacts): string | undefined {
  if (before.capacity !== now.capacity) return `its disk had ${before.capacity} bytes, and has ${now.capacity} now`
  if (before.files.length !== now.files.length)
    return `it consisted of ${before.files.length} files, and does of ${now.files.length} now`
  for (const [index, was] of before.files.entries()) {
    const is = now.files[index]
    if (is?.size !== was.size) return `a file of it had ${was.size} bytes, and has ${is?.size ?? 'none'} now`
    if (is.modified !== was.modified) return 'it was written to'
    if (is.changed !== was.changed) return 'it was changed, or put in the place of another file'
  }
  return recordDifference(before.disk ?? {}, now.disk ?? {})
}

/** The first of several named texts that differs, an end of a sentence. */
export function recordDifference(
  before: Readonly<Record<string, string>>,
  now: Readonly<Record<string, string>>,
): string | undefined {
  for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [was, is] = [before[name], now[name]]
    if (was !== is) return `${name} was ${shown(was)}, and is ${shown(is)} now`
  }
  return undefined
}

/** What a journal holds may be anything. */
const shown = (text: unknown): string =>
  text === undefined || text === '' ? 'not given' : printable(typeof text === 'string' ? text : JSON.stringify(text))

/** Options by their names, as text that can be compared. */
export function optionFacts(
  values: Readonly<Record<string, string | number | boolean | object | undefined>>,
): Record<string, string> {
  const facts: Record<string, string> = {}
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === false) continue
    // An address of another computer may hold what opens it, which is kept nowhere.
    facts[name] = withoutSecrets(typeof value === 'object' ? JSON.stringify(value) : String(value))
  }
  return facts
}

/** Options of a format in the order of their names. */
export function formatFacts(options: OptionValues): object | undefined {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return entries.length === 0 ? undefined : Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** What compresses: libraries give different bytes for the same content. */
export function compressorFact(packing: Packing | undefined): string | undefined {
  if (packing === undefined) return undefined
  const { codec, level } = packing
  const { encoder, version } = codecFor(codec).inPool ?? {}
  if (encoder?.(level) === undefined) return `${codec} by Node ${nodeMajor()}`
  return version === undefined ? `${codec} by a library` : `${codec} by version ${version} of its library`
}
