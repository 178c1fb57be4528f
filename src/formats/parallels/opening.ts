import type { ByteStore, Note } from '../../block/types.js'
import { reference, unsupported } from '../../errors.js'
import type { Location } from '../../location/location.js'
import type { DiskImage, OpenContext } from '../driver.js'
import { leafOf, ParallelsBundle } from './bundle.js'
import { readDescriptor, type Descriptor } from './descriptor.js'
import { isDescriptor, isExpandable, isPartName } from './probe.js'
import { ParallelsImage } from './reader.js'
import { descriptorName } from './structs.js'

/**
 * Opens an expandable image, or the bundle that a descriptor describes. A file of a bundle brings the whole disk, as it
 * was in the state that the file belongs to: alone it may be a part of it, or lack what it was made over.
 * @throws ImageError
 */
export function openParallels(store: ByteStore, context: OpenContext): DiskImage {
  const head = new Uint8Array(Math.min(4096, store.size))
  store.read(0, head)
  const expandable = isExpandable(head)
  // In the folder of a bundle a file of this name is the descriptor, whatever is in it.
  if (!expandable && (context.self.name === descriptorName || isDescriptor(head)))
    return new ParallelsBundle(store, readDescriptor(store), context)
  if (context.options['alone'] !== true) {
    const bundle = bundleAround(store, context)
    if (bundle !== undefined) return bundle
  }
  if (!expandable && isPartName(context.self.name ?? ''))
    throw reference(
      'E_DESCRIPTOR_MISSING',
      `${store.name} is named as one file of a Parallels disk, and ${descriptorName}, which lists it, is not beside it`,
      { hint: 'Use --from raw if its bytes are those of the disk.' },
    )
  if (context.snapshot !== undefined)
    throw unsupported('E_NO_SNAPSHOTS', `${store.name} is one file alone: ${descriptorName} would list snapshots`)
  return new ParallelsImage(store)
}

/** The bundle that lists a file, from the descriptor beside it; undefined where none does. */
function bundleAround(store: ByteStore, context: OpenContext): DiskImage | undefined {
  for (const place of [context.self, context.self.behind]) {
    const location = place?.sibling(descriptorName)
    const { name } = place ?? {}
    if (location === undefined || name === undefined) continue
    const other = context.openReference({ role: 'extent', path: location.address }, location)
    if (other === undefined) continue
    try {
      const descriptor = readDescriptor(other)
      const guid = stateOf(descriptor, name)
      if (guid !== undefined) {
        const names = [context.self.name, context.self.behind?.name]
        const note = givenNote(store, location, descriptor, context.snapshot === undefined ? guid : undefined)
        return new ParallelsBundle(other, descriptor, context, { names, store, guid, note })
      }
    } catch (error) {
      other[Symbol.dispose]()
      throw error
    }
    other[Symbol.dispose]()
  }
  return undefined
}

/** What the user should know who gave one file of several. */
function givenNote(
  store: ByteStore,
  { label }: Location,
  { storages, top }: Descriptor,
  guid: string | undefined,
): Note | undefined {
  if (storages.length === 1 && storages[0]?.images.size === 1) return undefined
  const state = guid === undefined || guid === top ? '' : `, as it was in the snapshot ${guid}`
  return {
    code: 'W_EXTENT_GIVEN',
    message: `${store.name} is one file of the disk that ${label} describes: the whole disk is read${state}`,
  }
}

/** The state of the disk that a file belongs to; undefined where the descriptor does not list it. */
function stateOf({ storages, shots }: Descriptor, name: string): string | undefined {
  for (const { images } of storages)
    for (const { guid, file } of images.values()) if (leafOf(file) === name && shots.has(guid)) return guid
  return undefined
}
