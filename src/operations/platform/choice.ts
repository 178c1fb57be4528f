import type { Note } from '../../block/types.js'
import { containers } from '../../codec/container.js'
import { printable, usage } from '../../errors.js'
import type { OptionValues } from '../../formats/driver.js'
import type { Registry } from '../../formats/registry.js'
import { namedPlatform, type Platform, type PlatformFormat } from '../../platforms/index.js'
import { extensionOf } from '../../sys/host-path.js'
import { isAppliance } from './appliance.js'

/** What a user asked for beside a platform. */
export interface ChoiceRequest {
  /** The name of the target; undefined for a stream. */
  readonly path: string | undefined
  readonly to?: string
  readonly options?: OptionValues
  readonly size?: number
  readonly parent?: string
  /** Whether the target is packed as the platform takes it; otherwise the image itself is made. */
  readonly packs: boolean
}

/** What is made for a platform. */
export interface PlatformChoice {
  readonly platform: Platform
  /** Id of the format. */
  readonly to: string
  readonly options: OptionValues
  readonly packed: boolean
  /** Whether the image goes into an OVA. */
  readonly appliance: boolean
  readonly notes: readonly Note[]
}

/**
 * Chooses the format and its options for a platform.
 * @throws ImageError usage E_UNKNOWN_PLATFORM, E_PLATFORM_OPTION where an option contradicts the platform,
 * E_PLATFORM_NAME where the target's name does, E_PLATFORM_SIZE.
 */
export function choosePlatform(registry: Registry, id: string, request: ChoiceRequest): PlatformChoice {
  const platform = namedPlatform(id)
  const { packing } = platform
  const packed = packing !== undefined && request.packs
  if (request.parent !== undefined && !platform.parents)
    throw contradicted(platform, '--parent', 'it takes no image that needs another one', 'Leave out --parent.')
  checkSize(platform, request.size)
  const appliance = request.packs && isAppliance(request.to, request.path)
  if (appliance) return applianceChoice(platform, request)
  if (packed) refuseName(platform, packing, request.path)
  const format = formatOf(registry, platform, packed ? undefined : innerName(request.path), request.to)
  const { options, notes } = optionsOf(platform, format, request.options ?? {})
  return {
    platform,
    to: format.format,
    options,
    packed,
    appliance,
    notes: [...notes, ...(packed ? [] : compressionNotes(platform, request.path)), ...unpackedNotes(platform, packed)],
  }
}

/** An OVA holds streamOptimized VMDKs, whatever else the platform takes. */
function applianceChoice(platform: Platform, { path, to, options = {} }: ChoiceRequest): PlatformChoice {
  if (platform.appliance !== undefined)
    return { platform, to: 'vmdk', options, packed: false, appliance: true, notes: [] }
  if (to !== undefined) throw contradicted(platform, '--to ova', 'it takes no OVA', 'Leave out --to.')
  const [first] = platform.formats
  throw usage(
    'E_PLATFORM_NAME',
    `the name of the target ${printable(path ?? '')} promises an OVA, which ${platform.id} does not take`,
    {
      hint: `Name it with ${platform.packing?.extensions[0] ?? `.${first?.format ?? ''}`} at its end.`,
    },
  )
}

function refuseName(
  { id }: Platform,
  { extensions, title }: NonNullable<Platform['packing']>,
  path: string | undefined,
): void {
  const lower = path?.toLowerCase()
  if (lower === undefined || extensions.some((extension) => lower.endsWith(extension))) return
  throw usage('E_PLATFORM_NAME', `${id} takes ${title}: the target ${printable(path ?? '')} is not named so`, {
    hint: `Name it with ${extensions.join(' or ')} at its end.`,
  })
}

/** @throws ImageError usage E_PLATFORM_SIZE where --size is no multiple of what the platform insists on. */
function checkSize({ id, multiple }: Platform, size: number | undefined): void {
  if (size === undefined || multiple === undefined || size % multiple.bytes === 0) return
  if (multiple.certainty === 'unconfirmed') return
  const rounded = Math.ceil(size / multiple.bytes) * multiple.bytes
  throw usage('E_PLATFORM_SIZE', `--size ${size}: ${id} takes disks of a multiple of ${multiple.bytes} bytes only`, {
    hint: `Use --size ${rounded}, or leave it out: the size of the source is rounded up.`,
    details: { size, multiple: multiple.bytes },
  })
}

/** The name of the image inside a compressed file. */
function innerName(path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  const extension = extensionOf(path)
  return containers[extension.slice(1).toLowerCase()] === undefined ? path : path.slice(0, -extension.length)
}

function formatOf(
  registry: Registry,
  platform: Platform,
  path: string | undefined,
  to: string | undefined,
): PlatformFormat {
  const wanted = to === undefined ? (path === undefined ? undefined : registry.forExtension(path)) : registry.get(to)
  const [first] = platform.formats
  const found = wanted === undefined ? first : platform.formats.find(({ format }) => format === wanted.id)
  if (found !== undefined) return found
  const takes = platform.formats.map(({ format }) => format).join(', ')
  if (to !== undefined)
    throw contradicted(platform, `--to ${to}`, `it takes ${takes}`, `Use --to ${first?.format ?? ''}.`)
  throw usage(
    'E_PLATFORM_NAME',
    `the name of the target ${printable(path ?? '')} promises ${wanted?.title ?? 'another format'}, and ` +
      `${platform.id} takes ${takes}`,
    { hint: `Name it with .${registry.get(first?.format ?? '').extensions[0] ?? ''} at its end.` },
  )
}

/** The options of a format as the platform needs them, and notes of what was given otherwise. */
function optionsOf(
  platform: Platform,
  { format, required = {}, advised = {}, refused = {} }: PlatformFormat,
  given: OptionValues,
): { readonly options: OptionValues; readonly notes: readonly Note[] } {
  for (const [name, value] of Object.entries(required)) {
    if (given[name] === undefined || String(given[name]) === value) continue
    throw contradicted(
      platform,
      `${name}=${String(given[name])}`,
      `its ${format} images have ${name}=${value}`,
      `Leave out ${name}.`,
    )
  }
  for (const [name, beginnings] of Object.entries(refused)) {
    const value = given[name]
    if (value === undefined || !beginnings.some((beginning) => String(value).startsWith(beginning))) continue
    throw contradicted(platform, `${name}=${String(value)}`, 'it does not take such an image', `Leave out ${name}.`)
  }
  const notes = Object.entries(advised)
    .filter(([name, value]) => given[name] !== undefined && String(given[name]) !== value)
    .map(([name, value]) => ({
      code: 'W_PLATFORM_OPTION',
      message:
        `${name}=${printable(String(given[name]))} is used as given, though ${name}=${value} is advised for ` +
        platform.id,
    }))
  return { options: { ...advised, ...required, ...given }, notes }
}

function contradicted(platform: Platform, option: string, why: string, hint: string) {
  return usage('E_PLATFORM_OPTION', `${printable(option)} contradicts --for ${platform.id}: ${why}`, { hint })
}

function compressionNotes({ id, compressed = [] }: Platform, path: string | undefined): Note[] {
  const extension = path === undefined ? '' : extensionOf(path).slice(1).toLowerCase()
  if (containers[extension] === undefined || compressed.includes(extension)) return []
  return [
    {
      code: 'W_PLATFORM_NAME',
      message: `${id} may not take an image inside a compressed file (.${extension}): unpack it before it is uploaded`,
    },
  ]
}

function unpackedNotes({ id, packing }: Platform, packed: boolean): Note[] {
  if (packed || packing === undefined) return []
  return [
    {
      code: 'W_PLATFORM_UNPACKED',
      message:
        `${id} takes ${packing.title}: this is the image alone; ` +
        `vdisk convert IMAGE NAME${packing.extensions[0] ?? ''} --for ${id} packs it`,
    },
  ]
}
