import { roundUp } from '../../../binary/integers.js'
import type { FieldRow } from '../../../binary/struct.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { printable, usage } from '../../../errors.js'
import type { ParentShape } from '../../driver.js'
import { locatorCount, locatorEntry, locatorsAt, sectorLength } from './structs.js'
import { fromUtf16, hostName, isPlainText } from '../../../sys/host-fs.js'

/** One used parent locator entry of a differencing disk (VHD specification, "Parent Locator Entries"). */
export interface ParentLocator {
  readonly index: number
  readonly code: string
  /** The path it stores, as it stands. Undefined: no path (a Mac alias), or a damaged entry. */
  readonly path?: string
}

/** The order of trust: relative before absolute, Unicode before ANSI; `Mac ` is an alias, no path. */
const codes = ['W2ru', 'W2ku', 'Wi2r', 'Wi2k', 'MacX'] as const
const decoders: Readonly<Record<string, (bytes: Buffer) => string>> = {
  W2ru: utf16Text,
  W2ku: utf16Text,
  Wi2r: latinText,
  Wi2k: latinText,
  MacX: (bytes) => hostName(bytes),
}

/** No system takes a longer path: 32,767 UTF-16 units. */
const longestPath = 65536

/** What is wrong with an entry; the message goes on from its name. */
export interface LocatorProblem {
  readonly index: number
  readonly code: string
  readonly message: string
}

/**
 * Reads the eight entries. What is damaged is left out and reported; nothing throws. @param header the dynamic header's
 * bytes.
 */
export function readLocators(
  store: ByteStore,
  header: Uint8Array,
): { locators: ParentLocator[]; problems: LocatorProblem[] } {
  const locators: ParentLocator[] = []
  const problems: LocatorProblem[] = []
  for (let index = 0; index < locatorCount; index++) {
    const at = locatorsAt + index * locatorEntry.size
    const { platformCode: code, platformDataLength: length, platformDataOffset } = locatorEntry.read(header, at)
    if (code === '') continue
    const decode = decoders[code]
    const problem = decode === undefined ? undefined : placeProblem(store, length, platformDataOffset)
    const note = (message: string): void => {
      problems.push({ index, code, message })
    }
    if (decode === undefined || problem !== undefined) {
      if (problem !== undefined) note(problem)
      locators.push({ index, code })
      continue
    }
    const bytes = Buffer.alloc(length)
    store.read(Number(platformDataOffset), bytes)
    const path = decode(bytes).replace(/\0+$/, '')
    if (decode === utf16Text && length % 2 !== 0)
      note(`has an odd length of ${length} bytes for UTF-16 text; the last one is left out`)
    if (path === '' || path.includes('\0')) {
      note(path === '' ? 'is empty' : 'holds a path with a NUL in it, which is not used')
      locators.push({ index, code })
    } else locators.push({ index, code, path })
  }
  return { locators, problems }
}

export function locatorNotes(name: string, headerPosition: number, problems: readonly LocatorProblem[]): Note[] {
  return problems.map(({ index, code, message }) => ({
    code: 'W_PARENT_LOCATOR',
    message:
      `${name}: parent locator ${index} ("${printable(code)}", entry at byte ` +
      `${headerPosition + locatorsAt + index * locatorEntry.size}) ${message}`,
  }))
}

function placeProblem({ size }: ByteStore, length: number, offset: bigint): string | undefined {
  if (length > longestPath) return `states a path of ${length} bytes, more than any path has; it is not used`
  if (offset + BigInt(length) > BigInt(size))
    return `lies at byte ${offset} with ${length} bytes, but the file ends at byte ${size}; it is not used`
  return undefined
}

/** The paths to try, most trusted first; the parent's name in the header comes last. */
export function parentPaths(locators: readonly ParentLocator[], parentName: string): string[] {
  const stored = codes.flatMap((code) => locators.filter((locator) => locator.code === code).map(({ path }) => path))
  return [
    ...new Set(
      [...stored, fromUtf16(turned(parentName) ?? parentName)].filter(
        (path): path is string => path !== undefined && path !== '',
      ),
    ),
  ]
}

/**
 * The header's name in the other byte order, where only that is a name of a file: the specification says big-endian,
 * and there are writers of little-endian names, which Windows opens by their locators.
 */
function turned(name: string): string | undefined {
  const other = Buffer.from(name, 'utf16le').swap16().toString('utf16le')
  const isFileName = (text: string): boolean => /\.[A-Za-z0-9]{1,8}$/.test(text)
  return isFileName(other) && !isFileName(name) ? other : undefined
}

/** The fields of the used entries, for `info --headers`. */
export function locatorRows(
  header: Uint8Array,
  headerPosition: number,
  locators: readonly ParentLocator[],
): FieldRow[] {
  return locators.flatMap(({ index }) => {
    const at = locatorsAt + index * locatorEntry.size
    return locatorEntry
      .rows(header.subarray(at, at + locatorEntry.size), headerPosition + at)
      .map((row) => ({ ...row, name: `locator${index}.${row.name}` }))
  })
}

/**
 * The bytes of entries and paths for a new child: relative and absolute Windows paths, their text from `position` on.
 */
export function buildLocators(
  paths: { readonly relative: string; readonly absolute: string },
  position: number,
): { entries: Uint8Array; texts: Uint8Array } {
  const stored = [
    { code: 'W2ru', path: paths.relative },
    { code: 'W2ku', path: paths.absolute },
  ].map(({ code, path }) => ({ code, text: Buffer.from(path, 'utf16le') }))
  const entries = new Uint8Array(locatorCount * locatorEntry.size)
  const texts: Buffer[] = []
  let at = position
  for (const [index, { code, text }] of stored.entries()) {
    const space = roundUp(text.length, sectorLength)
    // The specification counts the space in sectors; Windows writes bytes, and readers go by the length anyway.
    entries.set(
      locatorEntry.write({
        platformCode: code,
        platformDataSpace: space,
        platformDataLength: text.length,
        platformDataOffset: BigInt(at),
      }),
      index * locatorEntry.size,
    )
    texts.push(Buffer.concat([text, Buffer.alloc(space - text.length)]))
    at += space
  }
  return { entries, texts: Buffer.concat(texts) }
}

/** The stored paths in Windows' writing: readers on every system turn the separators. */
export function pathsOf(parent: ParentShape): { relative: string; absolute: string } {
  if (parent.relativePath.includes('\\')) {
    throw usage(
      'E_PARENT_PATH',
      `the parent's path ${printable(parent.relativePath)} has a backslash in it, which in a VHD separates folders`,
      { hint: 'Rename the parent.' },
    )
  }
  if (!isPlainText(parent.path + parent.relativePath))
    throw usage(
      'E_PARENT_PATH',
      `the parent's path ${printable(parent.path)} is not UTF-8, and a VHD stores names as UTF-16`,
      { hint: 'Rename the parent or its folder, or make a QCOW2 child: it stores names as they are.' },
    )
  const windows = parent.relativePath.replaceAll('/', '\\')
  // Another drive of Windows has no relative path, and the absolute one stands for it.
  const isAbsolute = /^(?:[A-Za-z]:|\\)/.test(windows)
  return {
    relative: isAbsolute || (windows.startsWith('.') && /^\.\.?\\/.test(windows)) ? windows : `.\\${windows}`,
    absolute: parent.path.replaceAll('/', '\\'),
  }
}

/** The parent's file name. The header has room for 255 UTF-16 units and an end. */
export function leafOf({ path }: ParentShape): string {
  return path.replace(/^.*[/\\]/s, '').slice(0, 255)
}

function utf16Text(bytes: Buffer): string {
  return fromUtf16(bytes.subarray(0, bytes.length - (bytes.length % 2)).toString('utf16le'))
}

function latinText(bytes: Buffer): string {
  return bytes.toString('latin1')
}
