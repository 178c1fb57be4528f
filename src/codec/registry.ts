import { printable, unsupported } from '../errors.js'
import type { Codec, PoolCodec } from '../block/types.js'
import * as builtin from './builtin.js'

const builtinCodecs: readonly Codec[] = Object.values<Codec | readonly Codec[]>(builtin).flat()

/** Makes one compressed unit, or undefined when the result would not be smaller than the unit. */
export type Compressor = (bytes: Uint8Array) => Uint8Array | undefined

/** What a thread imports to have a plug-in's codec. */
export interface CodecModule {
  readonly id: string
  /** Its default export is the codec. */
  readonly module: string
  readonly origin: string
}

interface Entry {
  readonly codec: Codec
  readonly origin: string
  loaded: boolean
}

/** The codecs of this thread, by id. */
const table = new Map<string, Entry>(
  builtinCodecs.map((codec) => [codec.id, { codec, origin: 'vdisk', loaded: codec.load === undefined }]),
)

/**
 * Adds a plug-in's codec in this thread; adding the same one again changes nothing.
 * @throws ImageError unsupported E_PLUGIN_CODEC, E_PLUGIN_ID_TAKEN; each names the plug-in.
 */
export function addCodec(codec: unknown, origin: string): void {
  const checked = checkCodec(codec, origin)
  const taken = table.get(checked.id)
  if (taken?.codec === checked) return
  // A thread that imports the module again, in another version of the same process, has the same codec.
  if (taken !== undefined && (taken.codec.module === undefined || taken.codec.module !== checked.module)) {
    throw unsupported(
      'E_PLUGIN_ID_TAKEN',
      `${origin} adds a codec ${checked.id}, but ${taken.origin} has a codec of that id already`,
      { hint: 'Remove one of the two.', details: { id: checked.id, origin } },
    )
  }
  table.set(checked.id, { codec: checked, origin, loaded: checked.load === undefined })
}

/** The plug-ins' codecs that other threads can have too. */
export function codecModules(): CodecModule[] {
  return [...table.values()].flatMap(({ codec: { id, module }, origin }) =>
    module === undefined ? [] : [{ id, module, origin }],
  )
}

/** Adds in this thread what {@link codecModules} gave in another. @throws ImageError unsupported E_PLUGIN_CODEC. */
export async function importCodecs(modules: readonly CodecModule[]): Promise<void> {
  for (const { id, module, origin } of modules) {
    let found: { readonly default?: unknown }
    try {
      found = (await import(module)) as typeof found
    } catch (cause) {
      throw unsupported('E_PLUGIN_CODEC', `the codec ${printable(id)} of ${origin} cannot be loaded`, { cause })
    }
    addCodec(found.default, origin)
  }
}

/**
 * The codec of an id, loaded for this thread (a native or a WebAssembly module, at the first call).
 * @throws ImageError unsupported E_CODEC.
 */
export function codecFor(id: string): Codec {
  const entry = table.get(id)
  if (entry === undefined) throw unsupported('E_CODEC', `no codec is called ${printable(id)}`)
  if (!entry.loaded) {
    entry.codec.load?.()
    entry.loaded = true
  }
  return entry.codec
}

/** The codec of an id as it works in the threads of Node's pool; nothing of one that a plug-in adds. */
export function poolCodec(id: string): PoolCodec {
  const entry = table.get(id)
  return entry?.origin === 'vdisk' ? (entry.codec.inPool ?? {}) : {}
}

/** Whether every thread can have this very codec; units of others are decoded in the thread of the driver. */
export function isShared(codec: Codec): boolean {
  const entry = table.get(codec.id)
  return entry?.codec === codec && (entry.origin === 'vdisk' || codec.module !== undefined)
}

/**
 * The compressor of an id. @param level the codec's own scale; its usual level when left out. @throws ImageError
 * unsupported E_CODEC.
 */
export function compressorFor(id: string, level?: number): Compressor {
  const codec = codecFor(id)
  if (codec.encode === undefined) throw unsupported('E_CODEC', `the codec ${printable(id)} only decompresses`)
  const encode = codec.encode.bind(codec)
  return (bytes) => {
    const packed = encode(bytes, level)
    return packed.length < bytes.length ? packed : undefined
  }
}

function checkCodec(codec: unknown, origin: string): Codec {
  if (typeof codec !== 'object' || codec === null)
    throw unsupported('E_PLUGIN_CODEC', `${origin} adds something that is no codec`)
  const given = codec as Partial<Record<keyof Codec, unknown>>
  if (typeof given.id !== 'string' || !/^[a-z][a-z0-9-]{0,31}$/.test(given.id)) {
    throw unsupported(
      'E_PLUGIN_CODEC',
      `${origin} adds a codec without a proper id: a lower case letter, then letters, digits and -`,
    )
  }
  const isFunction = (member: 'decode' | 'encode' | 'load', required: boolean): boolean =>
    typeof given[member] === 'function' || (!required && given[member] === undefined)
  const right =
    isFunction('decode', true) &&
    isFunction('encode', false) &&
    isFunction('load', false) &&
    (given.module === undefined || typeof given.module === 'string')
  if (!right)
    throw unsupported(
      'E_PLUGIN_CODEC',
      `${origin} adds the codec ${given.id}, which must have a function decode; encode and load are functions ` +
        'and module is an address where it has them',
    )
  return codec as Codec
}
