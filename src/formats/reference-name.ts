import { posix, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { printable, reference, type ImageError } from '../errors.js'

/** A name an image stores for another file, understood. */
export interface ReferenceName {
  /** Paths to try on this system, as stored: relative to the image's folder, or absolute. */
  readonly paths: readonly string[]
  /** The last part of the name: looked for beside the image when the path itself belongs to another system. */
  readonly leaf: string
  /** The format that the name itself states (QEMU's json: names). */
  readonly format?: string
}

/** Names of this form never reach the filesystem: they stand for servers and devices of QEMU. */
const protocol = /^(?:[a-z][a-z0-9+.-]*:\/\/|(?:nbd|rbd|ssh|ssh2|https?|ftps?|tftp|iscsi|iser|nfs|gluster|sheepdog|vxhs|fat|vvfat|blkdebug|blkverify|null-co|null-aio|host_cdrom|fd|quorum|replication|throttle|ceph):)/i
/** Drivers of QEMU that stand for a file of this system or for a format in one. */
const fileDrivers = new Set(['file'])

/**
 * Understands a stored name: plain POSIX and Windows paths, `file:` names and URLs, and QEMU's `json:` form around a plain file.
 * @throws ImageError reference E_BACKING_UNSUPPORTED for names of servers, devices and protocols; E_REFERENCE_NAME for what is no name.
 */
export function parseReferenceName(stored: string): ReferenceName {
  if (stored.startsWith('json:')) return parseJsonName(stored)
  if (/^file:\/\//i.test(stored)) {
    try {
      return plainName(fileURLToPath(stored))
    } catch {
      throw unsupportedName(stored)
    }
  }
  if (/^file:/i.test(stored)) return plainName(stored.slice(5))
  if (protocol.test(stored)) throw unsupportedName(stored)
  return plainName(stored)
}

function plainName(stored: string): ReferenceName {
  if (stored === '' || stored.includes('\0')) throw reference('E_REFERENCE_NAME', `${JSON.stringify(printable(stored))} is no name of a file`)
  const slashed = stored.replaceAll('\\', '/')
  const leaf = posix.basename(slashed.replace(/^[A-Za-z]:/, ''))
  if (leaf === '' || leaf === '.' || leaf === '..') throw reference('E_REFERENCE_NAME', `${JSON.stringify(printable(stored))} is no name of a file`)
  // A path with a drive or a server belongs to Windows; elsewhere only its last part says something.
  const windows = /^[A-Za-z]:/.test(slashed) || /^(?:\\\\|\/\/[?.]\/)/.test(stored)
  if (windows) return { paths: sep === '\\' ? [stored] : [], leaf }
  // A file of this system may have a backslash in its name; that it does is tried first.
  return { paths: slashed === stored || sep === '\\' ? [slashed] : [stored, slashed], leaf }
}

function parseJsonName(stored: string): ReferenceName {
  let value: unknown
  try {
    value = JSON.parse(stored.slice(5))
  } catch {
    throw unsupportedName(stored)
  }
  let format: string | undefined
  // At most a few levels are meant: {"driver":"qcow2","file":{"driver":"file","filename":"base.qcow2"}}, or "file.filename" in one.
  for (let level = 0; level < 4 && typeof value === 'object' && value !== null; level++) {
    const record = value as Readonly<Record<string, unknown>>
    const driver = record['driver']
    if (typeof driver === 'string' && !fileDrivers.has(driver)) {
      if (!/^(?:raw|qcow2?|vpc|vhdx|vmdk|vdi|qed|parallels)$/.test(driver)) throw unsupportedName(stored)
      format ??= driver
    }
    const name = record['filename'] ?? record['file.filename']
    if (typeof name === 'string') {
      const inner = record['file.driver']
      if (protocol.test(name) || name.startsWith('json:') || (inner !== undefined && inner !== 'file')) throw unsupportedName(stored)
      return { ...plainName(name), ...(format === undefined ? {} : { format }) }
    }
    value = record['file']
  }
  throw unsupportedName(stored)
}

function unsupportedName(stored: string): ImageError {
  return reference('E_BACKING_UNSUPPORTED', `the name ${JSON.stringify(printable(stored))} stands for no plain file; vdisk opens no servers or devices that an image names`, { details: { name: stored } })
}
