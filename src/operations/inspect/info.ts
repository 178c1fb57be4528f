import type { Fact, Note, Section } from '../../block/types.js'
import { perform } from '../../block/work.js'
import { isImageError, printable, type ErrorKind } from '../../errors.js'
import type { Appliance, Machine, MachineDisk } from '../../formats/driver.js'
import { contentsWork, type Layer, type OpenedImage } from '../../formats/open.js'
import { Registry } from '../../formats/registry.js'
import type { Wrapping } from '../../formats/wrapping.js'
import { accessText } from '../../formats/wrapper.js'
import { openDisk, openDiskLater, readOptions, type LaterOptions, type ReadOptions } from '../open/opening.js'

export type InfoOptions = ReadOptions

/** A problem that did not keep the image from being looked at. */
export interface Problem {
  readonly kind: ErrorKind
  readonly code: string
  readonly message: string
  readonly hint?: string
}

/** One image of the chain. Sizes are bytes. */
export interface LayerInfo {
  readonly path: string
  readonly format: string
  readonly subformat: string
  readonly capacity: number
  /**
   * Bytes of its files, and bytes that the filesystem holds for them; left out for what is in no file here (an NBD
   * export).
   */
  readonly size?: number
  readonly allocated?: number
  readonly identity?: string
}

export interface ImageInfo extends LayerInfo {
  /** The format's name for people. */
  readonly title: string
  readonly sectorSize: number
  /** Smallest unit in which the image stores data. */
  readonly grain: number
  /** Who needs whom: the image's parent, its parent's parent … Empty for an image without a parent. */
  readonly chain: readonly LayerInfo[]
  /** Set when the image needs a parent: the names it stores for it, as they stand. */
  readonly parent?: { readonly names: readonly string[]; readonly format?: string; readonly identity?: string }
  /** Why the chain ends too early. */
  readonly missing?: Problem
  /** Why the content cannot be read although the image can be looked at (encryption). */
  readonly unreadable?: Problem
  /** Other files that it names: data files, parts. */
  readonly references: readonly { readonly role: string; readonly path: string }[]
  /** The machines that it is a disk of, where it lies in an appliance. */
  readonly appliance?: Appliance
  /** What the format has to say; fields are those of `--headers`. */
  readonly sections: readonly Section[]
  readonly notes: readonly Note[]
}

/**
 * Looks at an image without reading its content; a missing parent is reported, not an error. @throws ImageError when
 * the image itself is damaged.
 */
export function info(path: string, options: InfoOptions = {}): ImageInfo {
  using opened = openDisk(path, { ...readOptions(options), chain: 'optional' })
  return describe(opened)
}

/** As {@link info}, letting signals through: a compressed file may have to be unpacked first. */
export async function infoLater(path: string, options: InfoOptions & LaterOptions = {}): Promise<ImageInfo> {
  using opened = await openDiskLater(path, { ...readOptions(options), chain: 'optional' }, options)
  return describe(opened)
}

/** A file that holds several disks, or none. */
export interface ContentsInfo {
  readonly path: string
  readonly title: string
  readonly appliance?: Appliance
  /** The disks in it, in its order; bytes. */
  readonly disks: readonly {
    readonly name?: string
    readonly id?: string
    readonly size?: number
    readonly capacity?: number
  }[]
  readonly sections: readonly Section[]
  readonly notes: readonly Note[]
}

/**
 * What is in a file that holds several disks, or none; undefined where it is an image. @throws ImageError
 */
export async function contentsLater(
  path: string,
  options: InfoOptions & LaterOptions = {},
): Promise<ContentsInfo | undefined> {
  const { registry = new Registry(), signal } = options
  const location = registry.schemes.locate(path)
  if (location.member !== undefined) return undefined
  const found = await perform(contentsWork(location, readOptions(options)), { signal })
  if (found === undefined) return undefined
  const { title, appliance, members, notes = [] } = found
  return {
    path,
    title,
    appliance,
    disks: members.map(({ name, id, size, source, capacity }) => ({
      name,
      id,
      size: size ?? source?.capacity,
      capacity,
    })),
    sections: appliance === undefined ? [] : applianceSections(appliance),
    notes,
  }
}

/** What is known of an opened image. */
export function describe(opened: OpenedImage): ImageInfo {
  const {
    top: { driver, image },
  } = opened
  const { parentReference } = image
  const appliance = opened.top.wrappings.find((wrapping) => wrapping.appliance !== undefined)?.appliance
  return {
    ...layerInfo(opened.top),
    title: driver.title,
    sectorSize: image.sectorSize,
    grain: image.grain,
    chain: opened.layers.slice(1).map(layerInfo),
    references: (image.references ?? []).map(({ role, path }) => ({ role, path })),
    appliance,
    sections: [
      ...(appliance === undefined ? [] : applianceSections(appliance)),
      ...opened.top.wrappings.map(wrappingSection),
      ...image.describe(),
      ...partSection(opened),
    ],
    notes: opened.notes,

    parent:
      parentReference === undefined
        ? undefined
        : {
            names: storedNames(parentReference),
            format: parentReference.format,
            identity: parentReference.identity,
          },
    missing: opened.missing === undefined ? undefined : problem(opened.missing),
    unreadable: image.unreadable === undefined ? undefined : problem(image.unreadable),
  }
}

/** What the image was taken out of, and how its content is reached. */
function wrappingSection({ title, member, size, content, access }: Wrapping): Section {
  return {
    title: 'Inside',
    facts: [
      { name: 'wrapper', label: 'Inside', value: title, key: true },
      ...(member === undefined ? [] : [{ name: 'member', value: printable(member), key: true }]),
      { name: 'wrapperSize', label: 'Size of the file', value: size, unit: 'bytes' as const },
      { name: 'contentSize', label: 'Size of what is in it', value: content, unit: 'bytes' as const },
      { name: 'access', value: accessText[access], key: true },
    ],
  }
}

/** The machines of an appliance, and all of its disks. */
function applianceSections({ machines, disks, manifest, signed }: Appliance): Section[] {
  return [
    ...machines.map((machine) => machineSection(machine)),
    {
      title: 'Disks of the appliance',
      facts: [
        ...disks.map((disk, index) => ({
          name: `disk${index + 1}`,
          label: `${index + 1}`,
          value: diskText(disk),
        })),
        ...(manifest === undefined ? [] : [{ name: 'manifest', value: manifest }]),
        ...(signed === true ? [{ name: 'signature', value: 'there is one; it was not verified' }] : []),
      ],
    },
  ]
}

function machineSection({ name, os, cpus, memory, firmware, hardware, networks }: Machine): Section {
  const facts: (Fact | undefined)[] = [
    textFact('name', name),
    textFact('os', os, 'Operating system'),
    cpus === undefined ? undefined : { name: 'cpus', label: 'CPUs', value: cpus },
    memory === undefined ? undefined : { name: 'memory', value: memory, unit: 'bytes' },
    firmware === undefined
      ? undefined
      : { name: 'firmware', value: firmware === 'uefi' ? 'UEFI' : 'BIOS (no other is recorded)' },
    textFact('hardware', hardware, 'Virtual hardware'),
    textFact('networks', networks.length === 0 ? undefined : networks.join(', ')),
  ]
  return { title: 'Machine', facts: facts.filter((fact) => fact !== undefined) }
}

function textFact(name: string, value: string | undefined, label?: string): Fact | undefined {
  return value === undefined ? undefined : { name, label, value: printable(value) }
}

function diskText({ id, file, capacity, controller, parent }: MachineDisk): string {
  return [
    file === undefined ? `${printable(id)} (empty)` : printable(file),
    file === undefined || file === id ? undefined : `id ${printable(id)}`,
    capacity === undefined ? undefined : `${capacity} bytes`,
    parent === undefined ? undefined : `over ${printable(parent)}`,
    controller === undefined ? 'of no machine' : `on ${printable(controller)}`,
  ]
    .filter((part) => part !== undefined)
    .join(', ')
}

/** What was asked about, when it is a part of the disk. */
function partSection({ part, capacity }: OpenedImage): Section[] {
  return part === undefined
    ? []
    : [
        {
          title: 'Part',
          facts: [
            { name: 'part', label: 'Part of the disk', value: part },
            { name: 'length', value: capacity, unit: 'bytes' },
          ],
        },
      ]
}

/** What is known of one image of a chain. */
export function layerInfo({ name, location, image, files }: Layer): LayerInfo {
  return {
    path: location.address === '' ? name : location.address,
    format: image.format,
    subformat: image.subformat,
    capacity: image.capacity,
    ...(files.length === 0
      ? {}
      : {
          size: files.reduce((sum, file) => sum + file.size, 0),
          allocated: files.reduce((sum, file) => sum + file.allocated, 0),
        }),
    identity: image.identity,
  }
}

/**
 * A format may refuse to understand the name that is stored; `info` then shows it among the format's own facts only.
 */
export function storedNames(parent: { readonly paths: readonly string[] }): readonly string[] {
  try {
    return parent.paths
  } catch (error) {
    if (isImageError(error)) return []
    throw error
  }
}

/** An error as part of an answer. */
export function problem(error: { kind: ErrorKind; code: string; message: string; hint: string | undefined }): Problem {
  return { kind: error.kind, code: error.code, message: error.message, hint: error.hint }
}
