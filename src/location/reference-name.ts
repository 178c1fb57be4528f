import { fileURLToPath } from 'node:url'
import { printable, reference, type ImageError } from '../errors.js'
import { textMeansAll } from '../sys/host-path.js'
import { percentText } from '../sys/percent.js'

/** A name an image stores for another file, understood. */
export interface ReferenceName {
  /** Paths to try on this system, as stored: relative to the image's folder, or absolute. */
  readonly paths: readonly string[]
  /**
   * What the last part of the name may be: looked for beside the image when the path itself belongs to another system.
   * A backslash separates folders in names of Windows, and is a character of a name elsewhere: there are two then, the
   * one with the backslash first.
   */
  readonly leaves: readonly string[]
}

/**
 * Names of this form never reach the filesystem: they stand for servers and devices of QEMU. (QCOW2's own reader
 * understands `json:`.)
 */
const protocol = new RegExp(
  '^(?:[a-z][a-z0-9+.-]*://|(?:nbd|rbd|ssh|ssh2|https?|ftps?|tftp|iscsi|iser|nfs|gluster|sheepdog|vxhs|fat|vvfat|' +
    'blkdebug|blkverify|null-co|null-aio|host_cdrom|fd|quorum|replication|throttle|ceph|json):)',
  'i',
)

/**
 * Understands a stored name: plain POSIX and Windows paths, `file:` names and URLs.
 * @throws ImageError reference E_BACKING_UNSUPPORTED for names of servers, devices and protocols; E_REFERENCE_NAME for
 * what is no name.
 */
export function parseReferenceName(stored: string): ReferenceName {
  // A URL has no relative paths; the Mac writes them nevertheless: file://./parent.vhd
  const [, relative] = /^file:\/\/(\.{1,2}\/.*)$/is.exec(stored) ?? []
  if (relative !== undefined) return plainName(percentText(relative))
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
  if (stored === '' || stored.includes('\0'))
    throw reference('E_REFERENCE_NAME', `${JSON.stringify(printable(stored))} is no name of a file`)
  const slashed = stored.replaceAll('\\', '/')
  const leaf = lastOf(slashed.replace(/^[A-Za-z]:/, ''))
  if (leaf === '' || leaf === '.' || leaf === '..')
    throw reference('E_REFERENCE_NAME', `${JSON.stringify(printable(stored))} is no name of a file`)
  // A path with a drive or a server belongs to Windows; elsewhere only its last part says something.
  const windows = /^[A-Za-z]:/.test(slashed) || /^(?:\\\\|\/\/[?.]\/)/.test(stored)
  if (windows) return { paths: textMeansAll ? [stored] : [], leaves: [leaf] }
  // A file of this system may have a backslash in its name; that it does is tried first.
  if (slashed === stored || textMeansAll) return { paths: [slashed], leaves: [leaf] }
  return { paths: [stored, slashed], leaves: [lastOf(stored), leaf] }
}

function lastOf(slashed: string): string {
  return slashed.replace(/\/+$/, '').replace(/^.*\//s, '')
}

function unsupportedName(stored: string): ImageError {
  return reference(
    'E_BACKING_UNSUPPORTED',
    `the name ${JSON.stringify(printable(stored))} stands for no plain file; vdisk opens no servers or ` +
      'devices that an image names',
    { details: { name: stored } },
  )
}
