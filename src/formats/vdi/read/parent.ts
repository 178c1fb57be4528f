import { nilUuid } from '../../../binary/struct.js'
import { printable, reference } from '../../../errors.js'
import type { DiskImage, Finding, ParentReference } from '../../driver.js'
import { isKnownVersion } from '../format/entries.js'
import { hasSignature, wordAt } from '../format/header.js'
import { header, header0, version0, type HeaderValues } from '../format/structs.js'

/** What a child records of a VDI: both ids. */
export interface VdiIdentity {
  readonly modificationUuid: string
}

/** The modification UUID of an image that is a VDI. */
export function modificationUuidOf(image: DiskImage): string | undefined {
  return image.format === 'vdi' ? (image as Partial<VdiIdentity>).modificationUuid : undefined
}

/**
 * How a differencing image names its parent: by ids alone. The first two names are what VirtualBox calls such a file,
 * and the id, for `--parent-map`.
 * @param acceptChanged takes a parent that was changed after the child was made over it.
 */
export function parentReferenceOf(
  name: string,
  capacity: number,
  { linkUuid, parentModificationUuid: recorded }: HeaderValues,
  acceptChanged: boolean,
): ParentReference {
  if (linkUuid === nilUuid)
    return {
      paths: [],
      format: 'vdi',
      verify: () => {
        throw reference('E_PARENT_ID', `${name} is a differencing image, and its header names no parent`)
      },
    }
  return {
    paths: [`{${linkUuid}}.vdi`, `{${linkUuid}}`],
    format: 'vdi',
    identity: linkUuid,
    recognise: (head) => imageUuidOf(head) === linkUuid,
    verify(parent: DiskImage): void {
      verifyImage(name, linkUuid, parent)
      const found = modificationUuidOf(parent)
      if (acceptChanged || recorded === nilUuid || found === recorded) return
      throw reference(
        'E_PARENT_ID',
        `${name}: its parent ${linkUuid} was changed after this image was made over it: its modification UUID is ` +
          `${found ?? 'none'}, the one recorded here is ${recorded}`,
        {
          hint:
            'Find the parent as it was then. If you know that its disk is the same, ' +
            '--from-option accept-changed-parent=true reads it nevertheless.',
          details: { expected: recorded, found },
        },
      )
    },
    *check(parent: DiskImage): Generator<Finding> {
      if (parent.capacity !== capacity)
        yield {
          severity: 'warning',
          code: 'W_PARENT_CAPACITY',
          structure: 'header',
          message: `the disk has ${capacity} bytes, that of the parent ${parent.capacity}`,
        }
      if (recorded === nilUuid)
        yield {
          severity: 'warning',
          code: 'W_PARENT_MODIFICATION',
          structure: 'header',
          position: header.fields.parentModificationUuid.offset,
          message:
            'the modification UUID of the parent is not recorded: whether the parent was changed cannot be seen. ' +
            'A commit into the parent may not have been finished',
        }
    },
  }
}

function verifyImage(name: string, wanted: string, parent: DiskImage): void {
  if (parent.format === 'vdi' && parent.identity === wanted) return
  const found = parent.format === 'vdi' ? `one with ${parent.identity ?? 'none'}` : `a ${parent.format} image`
  throw reference('E_PARENT_ID', `${name}: its parent is the VDI with the UUID ${wanted}, the file found is ${found}`, {
    hint: `--search DIR and --parent-map '{${printable(wanted)}}=FILE' say where the parent is.`,
    details: { expected: wanted, found: parent.identity },
  })
}

/** The image UUID of a file that is a VDI, from its first bytes. Pure and total. */
function imageUuidOf(head: Uint8Array): string | undefined {
  const version = wordAt(head, 68)
  if (!hasSignature(head) || version === undefined || !isKnownVersion(version)) return undefined
  const field = (version === version0 ? header0 : header).fields.imageUuid
  if (head.length < field.offset + 16) return undefined
  return field.get(new DataView(head.buffer, head.byteOffset, head.byteLength), field.offset, 'little')
}
