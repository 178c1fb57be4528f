import { corrupt, printable, reference, unsupported } from '../../../errors.js'
import type { Location } from '../../../location/location.js'
import type { ByteStore } from '../../../block/types.js'
import type { OpenContext } from '../../driver.js'
import { looksLikeDescriptor, maximumDescriptor, parseDescriptor, type Descriptor } from '../format/descriptor.js'

const partName = /^(.+)-(flat|f\d{3,}|s\d{3,}|delta|sesparse|rdmp?|ctk)(\.vmdk)$/i

/** Whether a file is named as a part of a VMDK, which has no mark of its own in it. */
export function isPartName(name: string): boolean {
  return partName.test(name)
}

/** The whole descriptor of a file that is nothing else. @throws ImageError corrupt E_DESCRIPTOR. */
export function readDescriptor(store: ByteStore): Descriptor {
  if (store.size > maximumDescriptor)
    throw corrupt(
      'E_DESCRIPTOR',
      `${store.name} has ${store.size} bytes; a descriptor has at most ${maximumDescriptor}`,
    )
  const bytes = new Uint8Array(store.size)
  store.read(0, bytes)
  return parseDescriptor(bytes, store.name)
}

/** The descriptor that lists an extent. */
export interface FoundDescriptor {
  readonly store: ByteStore
  readonly location: Location
  readonly descriptor: Descriptor
}

/**
 * Finds the descriptor of a file that is one extent of a disk: beside it, by its name, and only if it lists the file.
 * @param kind what the file is, for messages.
 * @throws ImageError corrupt E_DESCRIPTOR_MISSING where there is none; unsupported E_TYPE for files that are no
 * extents.
 */
export function findDescriptor(store: ByteStore, context: OpenContext, kind: string): FoundDescriptor {
  const { self } = context
  for (const place of [self, self.behind]) {
    const { name } = place ?? {}
    const [, stem, suffix = '', extension] = partName.exec(name ?? '') ?? []
    if (place === undefined || name === undefined || stem === undefined || extension === undefined) continue
    const wanted = `${stem}${extension}`
    if (/^ctk$/i.test(suffix))
      throw unsupported('E_TYPE', `${store.name} is a changed-block tracking file, and no disk`, {
        hint: `Open ${printable(wanted)} beside it.`,
      })
    const location = place.sibling(wanted)
    if (location === undefined) continue
    const other = context.openReference({ role: 'extent', path: location.address }, location)
    if (other === undefined) continue
    try {
      const head = new Uint8Array(Math.min(65536, other.size))
      other.read(0, head)
      if (looksLikeDescriptor(head) !== 'no') {
        const descriptor = readDescriptor(other)
        if (descriptor.extents.some(({ names }) => names.includes(name))) return { store: other, location, descriptor }
      }
    } catch (error) {
      other[Symbol.dispose]()
      throw error
    }
    other[Symbol.dispose]()
  }
  throw reference(
    'E_DESCRIPTOR_MISSING',
    `${store.name} is ${kind}, a part of a VMDK: the descriptor that lists it is not beside it`,
    {
      hint:
        'Open the descriptor (a small text file, NAME.vmdk). --from-option alone=true reads what ' +
        'this file has of the ' +
        'disk; --from raw takes a flat extent as it is.',
    },
  )
}
