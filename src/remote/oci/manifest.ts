import { corrupt, printable, unsupported, type Label } from '../../errors.js'
import { isDigest } from './reference.js'
import { isJsonObject } from '../../binary/json-object.js'

/** What a registry is asked for: manifests of an image, and lists of several (OCI Image 1.1, and docker's before). */
export const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
] as const

/** No manifest has more bytes: registries need not take longer ones. */
export const mostManifestBytes = 4 * 1024 * 1024
/** More than any image has. */
const mostDescriptors = 1024

/** What a manifest names: bytes of a digest, and how many. */
export interface BlobDescriptor {
  /** Lower case, without parameters. */
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly annotations: Readonly<Record<string, string>>
  /** Whether it lies elsewhere, and the registry need not have it: that is never followed. */
  readonly isForeign: boolean
}

/** One image of several. */
export interface IndexEntry extends BlobDescriptor {
  /** `linux/amd64`, `linux/arm/v7`; undefined where none is named. */
  readonly platform: string | undefined
}

export type OciManifest =
  | { readonly kind: 'index'; readonly entries: readonly IndexEntry[] }
  | {
      readonly kind: 'image'
      readonly config: BlobDescriptor | undefined
      readonly layers: readonly BlobDescriptor[]
      readonly annotations: Readonly<Record<string, string>>
    }

/**
 * Understands a manifest. Nothing of it is trusted.
 * @throws ImageError corrupt E_OCI_MANIFEST; unsupported E_UNSUPPORTED_FORMAT for those of before 2016.
 */
export function parseOciManifest(bytes: Uint8Array, label: Label): OciManifest {
  const wrong = (why: string): Error => corrupt('E_OCI_MANIFEST', `${label}: its manifest cannot be used: ${why}`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw wrong('it is no JSON')
  }
  if (!isJsonObject(value)) throw wrong('it is no object')
  if (value['schemaVersion'] === 1)
    throw unsupported('E_UNSUPPORTED_FORMAT', `${label} has a manifest of docker's first kind, which is not read`, {
      hint: 'Copy it with skopeo, which can make an OCI image of it.',
    })
  if (value['schemaVersion'] !== 2) throw wrong('it has no schemaVersion 2')
  const { manifests, layers, config, annotations } = value
  if (Array.isArray(manifests)) {
    const entries = listed(manifests, wrong).map((entry) => ({
      ...descriptorOf(entry, wrong),
      platform: isJsonObject(entry) ? platformOf(entry['platform']) : undefined,
    }))
    return { kind: 'index', entries }
  }
  if (!Array.isArray(layers)) throw wrong('it names neither layers nor manifests')
  return {
    kind: 'image',
    config: config === undefined ? undefined : descriptorOf(config, wrong),
    layers: listed(layers, wrong).map((layer) => descriptorOf(layer, wrong)),
    annotations: textsIn(annotations),
  }
}

function listed(values: readonly unknown[], wrong: (why: string) => Error): readonly unknown[] {
  if (values.length > mostDescriptors) throw wrong(`it names ${values.length} parts, and no image has so many`)
  return values
}

function descriptorOf(value: unknown, wrong: (why: string) => Error): BlobDescriptor {
  if (!isJsonObject(value)) throw wrong('what it names is no object')
  const { mediaType, digest, size, urls, annotations } = value
  if (typeof digest !== 'string' || !isDigest(digest))
    throw wrong(`${printable(typeof digest === 'string' ? digest.slice(0, 100) : 'what it names')} is no digest`)
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw wrong(`${digest} has no size`)
  const type = typeof mediaType === 'string' ? (mediaType.split(';')[0] ?? '').trim().toLowerCase() : ''
  return {
    mediaType: type,
    digest,
    size,
    annotations: textsIn(annotations),
    isForeign: /foreign|nondistributable/.test(type) || (Array.isArray(urls) && urls.length > 0),
  }
}

function textsIn(value: unknown): Record<string, string> {
  if (!isJsonObject(value)) return {}
  return Object.fromEntries(
    Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  )
}

function platformOf(value: unknown): string | undefined {
  if (!isJsonObject(value)) return undefined
  const { os, architecture, variant } = value
  if (typeof os !== 'string' || typeof architecture !== 'string' || os === '' || architecture === '') return undefined
  return [os, architecture, ...(typeof variant === 'string' && variant !== '' ? [variant] : [])].join('/')
}
