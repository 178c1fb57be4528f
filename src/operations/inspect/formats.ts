import { containers } from '../../codec/container.js'
import type { OptionSpec } from '../../formats/driver.js'
import { Registry } from '../../formats/registry.js'

/** What a format can do. */
export interface FormatInfo {
  readonly id: string
  readonly title: string
  /** `vdisk`, or the plugin that brought it. */
  readonly origin: string
  readonly extensions: readonly string[]
  readonly canCreate: boolean
  readonly subformats: readonly { readonly id: string; readonly summary: string }[]
  /** Whether chains of parents are read, and can be made. */
  readonly parents: 'read' | 'create' | 'none'
  readonly snapshots: boolean
  readonly compression: readonly string[]
  readonly sectorSizes: readonly number[]
  /** Create options, and options for reading. */
  readonly options: readonly Omit<OptionSpec, 'flag'>[]
  readonly openOptions: readonly OptionSpec[]
}

/** What may be around an image: a compressed file, an archive. */
export interface WrapperInfo {
  readonly id: string
  readonly title: string
  readonly extensions: readonly string[]
  readonly canCreate: boolean
  /** How the content is reached. */
  readonly access: string
}

/** The compressed files and archives that images are read from, in the order of the registry. */
export function wrappers(registry: Registry = new Registry()): WrapperInfo[] {
  return registry.wrappers.map(({ id, title, extensions, access }) => ({
    id,
    title,
    extensions,
    canCreate: extensions.some((extension) => containers[extension] !== undefined),
    access,
  }))
}

/** The formats that are known, in the order of the registry. */
export function formats(registry: Registry = new Registry()): FormatInfo[] {
  return [...registry].map(({ driver, origin }) => ({
    id: driver.id,
    title: driver.title,
    origin,
    extensions: driver.extensions,
    canCreate: driver.create !== undefined,
    subformats: driver.subformats,
    parents: driver.features.parents,
    snapshots: driver.features.snapshots,
    compression: driver.features.compression,
    sectorSizes: driver.features.sectorSizes,
    options: driver.options.map(withoutFlag),
    openOptions: driver.openOptions ?? [],
  }))
}

function withoutFlag({ name, type, choices, default: preset, summary }: OptionSpec): Omit<OptionSpec, 'flag'> {
  return { name, type, choices, default: preset, summary }
}
