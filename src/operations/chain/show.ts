import fs from '../../sys/host-fs.js'
import type { Note } from '../../block/types.js'
import { printable, usage } from '../../errors.js'
import type { FoundBy } from '../../location/gate.js'
import { type Layer, type OpenedImage } from '../../formats/open.js'
import { convert, type ConvertOptions, type ConvertResult } from '../transfer/convert.js'
import { layerInfo, problem, storedNames, type LayerInfo, type Problem } from '../inspect/info.js'
import { openAddress, openAddressLater } from '../open/image-file.js'
import { readOptions, type LaterOptions, type ReadOptions } from '../open/opening.js'
import { HostLocation } from '../../location/file.js'
import type { Location } from '../../location/location.js'

/**
 * How an image stands towards its parent: `base` needs none; of `linked` it was found and has the recorded id;
 * `linked-by-name` was
 * found and no id is recorded; of `broken` it was not found, or is not the right one.
 */
export type LinkState = 'base' | 'linked' | 'linked-by-name' | 'broken'

export interface ChainLayer extends LayerInfo {
  /** 0 is the image asked for, 1 its parent … */
  readonly depth: number
  readonly state: LinkState
  /** How this image was come by, as the parent of the one before. */
  readonly foundBy?: FoundBy
  /** What it records of its parent: names as they stand. */
  readonly parent?: { readonly names: readonly string[]; readonly format?: string; readonly identity?: string }
  /** Why its own content cannot be read (encryption). */
  readonly unreadable?: Problem
  readonly notes: readonly Note[]
}

export interface ChainResult {
  readonly path: string
  /** Whether every parent was found and is the right one. */
  readonly complete: boolean
  readonly layers: readonly ChainLayer[]
  /** Why the last layer's parent is missing, and every path that was looked at. */
  readonly broken?: Problem & { readonly looked: readonly string[] }
}

/**
 * Every image of a chain, as far as it can be followed; a broken link is part of the answer. @throws ImageError when
 * the image itself is damaged.
 */
export function showChain(path: string, options: ReadOptions = {}): ChainResult {
  using opened = openAddress(path, { ...readOptions(options), chain: 'optional' })
  return chainOf(path, opened)
}

/** As {@link showChain}, letting signals through, with progress: the image may have to be unpacked first. */
export async function showChainLater(path: string, options: ReadOptions & LaterOptions): Promise<ChainResult> {
  using opened = await openAddressLater(path, { ...readOptions(options), chain: 'optional' }, options)
  return chainOf(path, opened)
}

function chainOf(path: string, opened: OpenedImage): ChainResult {
  const { missing } = opened
  const looked = missing?.details['looked']
  return {
    path,
    complete: missing === undefined,
    layers: opened.layers.map((layer, depth) => chainLayer(layer, depth, opened)),
    broken:
      missing === undefined
        ? undefined
        : {
            ...problem(missing),
            looked: typeof looked === 'string' && looked !== '' ? looked.split('\n') : [],
          },
  }
}

function chainLayer(layer: Layer, depth: number, opened: OpenedImage): ChainLayer {
  const { layers } = opened
  const { parentReference, unreadable } = layer.image
  const state =
    parentReference === undefined
      ? 'base'
      : layers[depth + 1] === undefined
        ? 'broken'
        : parentReference.identity === undefined
          ? 'linked-by-name'
          : 'linked'
  return {
    ...layerInfo(layer),
    depth,
    state,
    notes: opened.notesOf(layer),
    foundBy: layer.foundBy,
    parent:
      parentReference === undefined
        ? undefined
        : {
            names: storedNames(parentReference),
            format: parentReference.format,
            identity: parentReference.identity,
          },
    unreadable: unreadable === undefined ? undefined : problem(unreadable),
  }
}

export interface FlattenOptions extends Omit<ConvertOptions, 'parent' | 'parentFrom'> {
  /**
   * The last image of the chain whose content the target takes in: its depth, path, or file name. The target is then a
   * child of that
   * image's parent. All of the chain when left out.
   */
  readonly until?: string
}

export interface FlattenResult extends ConvertResult {
  /** The images whose content the target has taken in, the one asked for first. */
  readonly flattened: readonly string[]
  /** The image that the target is a child of. */
  readonly parent?: string
}

/**
 * Writes a chain, or the upper part of it, as one new image.
 * @throws ImageError as `convert` does; usage E_NO_LAYER when `until` names none.
 */
export async function flattenChain(path: string, target: string, options: FlattenOptions = {}): Promise<FlattenResult> {
  const { until, ...rest } = options
  const { layers, last } = await chosenLayers(path, rest, until)
  const below = layers[last + 1]
  const result = await convert(path, target, {
    ...rest,
    // What the chain was allowed to name, its lower part may name when it is opened for itself.
    ...(below === undefined
      ? {}
      : {
          parent: below.path,
          parentFrom: below.format,
          allowReferences: [...(rest.allowReferences ?? []), ...layers.slice(last + 1).map((layer) => layer.path)],
        }),
  })
  return {
    ...result,
    flattened: layers.slice(0, last + 1).map((layer) => layer.path),
    parent: below?.path,
  }
}

async function chosenLayers(
  path: string,
  options: ReadOptions & LaterOptions,
  until: string | undefined,
): Promise<{ layers: { path: string; format: string }[]; last: number }> {
  using opened = await openAddressLater(path, readOptions(options), options)
  const layers = opened.layers.map(({ location, driver }) => ({
    path: location.address,
    location,
    format: driver.id,
  }))
  if (until === undefined) return { layers, last: layers.length - 1 }
  const last = layerIndex(
    layers.map(({ location }) => location),
    until,
  )
  if (last === undefined) {
    throw usage(
      'E_NO_LAYER',
      `${printable(until)} is no image of the chain of ${printable(path)}, or the name of several`,
      {
        hint: `Its images are ${layers.map((layer, depth) => `${depth}: ${printable(layer.path)}`).join(', ')}.`,
      },
    )
  }
  return { layers, last }
}

/** By its depth, by the file that a path leads to, or by a name that only one image has. */
function layerIndex(layers: readonly Location[], wanted: string): number | undefined {
  if (/^\d{1,3}$/.test(wanted)) return Number(wanted) < layers.length ? Number(wanted) : undefined
  const id = fs.existsSync(wanted) ? new HostLocation(wanted).id : undefined
  const exact = layers.findIndex((layer) => layer.id === id)
  if (exact >= 0) return exact
  const named = layers.flatMap((layer, depth) => (layer.name === wanted ? [depth] : []))
  return named.length === 1 ? named[0] : undefined
}
