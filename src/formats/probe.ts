import { corrupt, ImageError, printable, unsupported } from '../errors.js'
import type { ByteStore, Note } from '../block/types.js'
import { isPartialName } from '../location/partial.js'
import { extensionOf } from '../sys/host-path.js'
import type { Certainty, FormatDriver } from './driver.js'
import type { Registry } from './registry.js'
import { foreignFormat, unclaimedFormat } from './signatures.js'

const window = 65536
const rawId = 'raw'

/** What was found, and what the user should know about it. */
export interface Detection {
  readonly driver: FormatDriver
  readonly notes: readonly Note[]
}

/**
 * The format of an image, from its content; the name only warns. A certain driver beats a possible one; raw is the
 * answer only when
 * nothing known was recognised and the name does not promise another format.
 * @throws ImageError unsupported E_AMBIGUOUS_FORMAT, E_UNSUPPORTED_FORMAT; corrupt E_NOT_RECOGNISED, E_EMPTY,
 * E_PARTIAL.
 */
export function detectFormat(store: ByteStore, fileName: string | undefined, registry: Registry): Detection {
  const name = store.name
  if (fileName !== undefined && isPartialName(fileName)) {
    throw corrupt('E_PARTIAL', `${name} is the unfinished output of an interrupted run, not an image`, {
      hint: 'Delete it and run the conversion again.',
    })
  }
  if (store.size === 0)
    throw corrupt('E_EMPTY', `${name} is empty`, { hint: 'Use --from raw to read it as a disk of no bytes.' })
  const length = Math.min(window, store.size)
  const head = new Uint8Array(length)
  const tail = new Uint8Array(length)
  store.read(0, head)
  store.read(store.size - length, tail)

  const judged = [...registry]
    .filter(({ driver }) => driver.id !== rawId)
    .map(({ driver, origin }) => ({ driver, certainty: probe(driver, origin, head, tail, store.size) }))
  const certain = judged.filter(({ certainty }) => certainty === 'certain').map(({ driver }) => driver)
  const [found] = certain
  if (found !== undefined)
    return certain.length === 1
      ? { driver: found, notes: extensionNote(name, fileName, found, registry) }
      : ambiguous(name, certain)

  const foreign = foreignFormat(head, tail, store.size)
  if (foreign !== undefined) unreadable(name, foreign)
  const possible = judged.filter(({ certainty }) => certainty === 'possible').map(({ driver }) => driver)
  const [likely] = possible
  if (likely !== undefined)
    return possible.length === 1
      ? { driver: likely, notes: extensionNote(name, fileName, likely, registry) }
      : ambiguous(name, possible)
  const unclaimed = unclaimedFormat(head, tail, store.size)
  if (unclaimed !== undefined) unreadable(name, unclaimed)

  const promised = fileName === undefined ? undefined : registry.forExtension(fileName)
  if (fileName !== undefined && promised !== undefined && promised.id !== rawId) {
    throw corrupt(
      'E_NOT_RECOGNISED',
      `${name} is named ${printable(extensionOf(fileName))}, but nothing in it says that it is a ${promised.title}, or any other ` +
        'known format',
      {
        hint: 'It may be damaged or cut off. Use --from raw if its bytes are those of a disk.',
        details: { format: promised.id },
      },
    )
  }
  return { driver: registry.get(rawId), notes: [] }
}

function probe(driver: FormatDriver, origin: string, head: Uint8Array, tail: Uint8Array, size: number): Certainty {
  try {
    return driver.probe(head, tail, size)
  } catch (cause) {
    throw new ImageError(
      'internal',
      'E_PROBE',
      `the format ${driver.id} (${origin}) failed while looking at the file, which it never may`,
      { cause },
    )
  }
}

function unreadable(name: string, format: string): never {
  throw unsupported('E_UNSUPPORTED_FORMAT', `${name} is ${format}, which vdisk cannot read`, {
    hint: 'Use --from raw to read it as raw bytes.',
    details: { format },
  })
}

function ambiguous(name: string, drivers: readonly FormatDriver[]): never {
  const ids = drivers.map(({ id }) => id)
  throw unsupported('E_AMBIGUOUS_FORMAT', `${name} can be ${ids.join(' and ')} at once`, {
    hint: `Say which one you mean: ${ids.map((id) => `--from ${id}`).join(' or ')}.`,
  })
}

function extensionNote(name: string, fileName: string | undefined, found: FormatDriver, registry: Registry): Note[] {
  const promised = fileName === undefined ? undefined : registry.forExtension(fileName)
  if (promised === undefined || promised.id === found.id || fileName === undefined || promised.id === rawId) return []
  return [
    {
      code: 'W_EXTENSION',
      message: `${name} is named ${printable(extensionOf(fileName))}, but it is a ${found.title}`,
    },
  ]
}
