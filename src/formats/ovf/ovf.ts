import { BytesSource } from '../../block/bytes-source.js'
import { RangeSource } from '../../block/range-source.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, isImageError, printable, unsupported } from '../../errors.js'
import type { WrapperContext, WrapperDriver } from '../driver.js'
import { longestDescription, type Envelope, type ReferencedFile } from './envelope.js'
import { longestManifest, parseManifest, type DigestedFile, type Manifest } from './manifest.js'
import { openPackage } from './package.js'
import { percentText } from '../../sys/percent.js'

/** An OVF description with its disks in files beside it. */
export const ovf: WrapperDriver = {
  apiVersion: 1,
  kind: 'wrapper',
  id: 'ovf',
  title: 'OVF description',
  extensions: ['ovf'],
  access: 'as files of their own, beside it',
  probe: (head) => (isDescription(head) ? 'certain' : 'no'),

  *open(store, context) {
    const description = wholeOf(store, longestDescription)
    const { name = 'disk.ovf' } = context
    const stem = name.replace(/\.ovf$/i, '')
    return openPackage({
      label: store.name,
      name,
      description,
      manifest: manifestBeside(context, `${stem}.mf`),
      signed: isBeside(context, `${stem}.cert`),
      memberOf: (file) => ({ name: file.href, open: () => context.openNamed(namesOf(file, store)) }),
      digested: (envelope) => filesOf(envelope, name, description, context),
    })
  },
}

function isDescription(head: Uint8Array): boolean {
  const utf16 = head[0] === 0xff || head[0] === 0xfe ? 1 : 0
  // NULs of UTF-16 are left out: the names that are looked for are ASCII.
  const text = Buffer.from(head.subarray(utf16 * 2, 8192))
    .toString('latin1')
    .replaceAll('\0', '')
  return (
    /^(?:\xef\xbb\xbf)?\s*<(?:\?xml|!--|(?:[\w.-]+:)?Envelope[\s>])/.test(text) &&
    /<(?:[\w.-]+:)?Envelope[\s>]/.test(text)
  )
}

function wholeOf(store: ByteStore, most: number): Uint8Array {
  if (store.size > most)
    throw corrupt('E_OVF', `${store.name} has ${store.size} bytes, more than ${most}, and cannot be used`)
  const bytes = new Uint8Array(store.size)
  store.read(0, bytes)
  return bytes
}

function manifestBeside({ openBeside }: WrapperContext, name: string): Manifest | undefined {
  const store = openBeside(name)
  if (store === undefined) return undefined
  try {
    return parseManifest(wholeOf(store, longestManifest), name)
  } finally {
    store[Symbol.dispose]()
  }
}

function isBeside({ openBeside }: WrapperContext, name: string): boolean {
  const store = openBeside(name)
  store?.[Symbol.dispose]()
  return store !== undefined
}

/** @throws ImageError unsupported E_UNSUPPORTED_FORMAT for a disk that is in pieces. */
function namesOf({ href, chunkSize }: ReferencedFile, { name }: ByteStore): string[] {
  if (chunkSize === undefined) return [...new Set([href, percentText(href)])]
  throw unsupported('E_UNSUPPORTED_FORMAT', `${name} names the disk ${printable(href)}, which lies in pieces`, {
    hint: 'Put the pieces together first: cat NAME.0* > NAME',
  })
}

/** The description, and the files that it names and that can be opened. */
function* filesOf(
  { files }: Envelope,
  name: string,
  description: Uint8Array,
  { openNamed }: WrapperContext,
): Generator<DigestedFile & Partial<Disposable>> {
  yield { name, source: new BytesSource(description, name) }
  for (const { href, chunkSize } of files) {
    if (chunkSize !== undefined) continue
    try {
      const { store } = openNamed([...new Set([href, percentText(href)])])
      yield { name: href, source: new RangeSource(store), [Symbol.dispose]: () => store[Symbol.dispose]() }
    } catch (error) {
      if (!isImageError(error)) throw error
    }
  }
}
