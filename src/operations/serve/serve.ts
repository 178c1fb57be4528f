import type { Duplex } from 'node:stream'
import fs from '../../sys/host-fs.js'
import type { Note } from '../../block/types.js'
import { defaultThreads, TaskPool } from '../../engine/index.js'
import { printable, systemReason, usage } from '../../errors.js'
import { NbdServer, nbdUri, type Endpoint, type ServerTls } from '../../mount/nbd/index.js'
import { openExposedLater, prepareOverlay, type Exposure } from './exposed-disk.js'
import type { LaterOptions, ReadOptions } from '../open/opening.js'
import { DiskServing } from './serve-disk.js'
import { absolute, inFolder, lastPart } from '../../sys/host-path.js'
import { boundedText } from '../../sys/readable.js'
import { ownPid, temporaryFolder, userRuntimeFolder } from '../../sys/self.js'
import { checkSocketPath } from '../../mount/nbd/socket-path.js'
import { milliseconds } from '../../sys/clock.js'

export interface ServeOptions extends ReadOptions, LaterOptions {
  readonly endpoint: Endpoint
  /** Serves one client over this stream, and listens nowhere; `onReady` is not called. */
  readonly stream?: Duplex
  /**
   * The exports' names, in the order of the images; one image has the empty name when left out, several those of their
   * files.
   */
  readonly names?: readonly string[]
  /** A child of the image (of one only), into which changes go; made where there is none. */
  readonly overlay?: string
  /** Changes go into the images themselves. */
  readonly write?: boolean
  /** Lets clients write to a partition in which a part of the disk's table lies. */
  readonly allowTableLoss?: boolean
  /** Paths of PEM files. With `authority`, clients need a certificate of it. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly authority?: string }
  /** Goes on when the last client is gone; else that ends it. */
  readonly persistent?: boolean
  /** Worker threads for decompression; 0: none. */
  readonly threads?: number
  /** Ends it too: everything is flushed and closed then. */
  readonly signal?: AbortSignal
  /** Clients can connect from now on. */
  readonly onReady?: (ready: ServeReady) => void | Promise<void>
}

export interface ServedExport {
  readonly name: string
  readonly uri: string
  readonly path: string
  readonly format: string
  readonly subformat: string
  readonly part?: string
  /** Bytes. */
  readonly capacity: number
  readonly sectorSize: number
  readonly writable: boolean
}

export interface ServeReady {
  readonly endpoint: Endpoint
  readonly tls: boolean
  readonly exports: readonly ServedExport[]
  /** The file that takes the changes, and whether it was made now. */
  readonly overlay?: { readonly path: string; readonly made: boolean }
  readonly notes: readonly Note[]
}

export interface ServeResult {
  /** Connections that used an export. */
  readonly clients: number
  readonly ended: 'by the last client' | 'interrupted'
  readonly seconds: number
}

/**
 * Serves images over NBD until the last client is gone (or, when persistent, until the signal). Then everything is
 * flushed and closed.
 * @throws ImageError those of opening; usage E_NAME, E_TLS; refused E_SOCKET_IN_USE; target E_LISTEN, and what flushing
 * says.
 */
export async function serve(images: readonly string[], options: ServeOptions): Promise<ServeResult> {
  const started = milliseconds()
  checkModes(images, options)
  if (options.stream === undefined && options.endpoint.kind === 'unix') checkSocketPath(options.endpoint.path)
  const names = exportNames(images, options.names)
  const tls = options.tls === undefined ? undefined : readCertificates(options.tls)
  const isMade =
    options.overlay !== undefined &&
    images[0] !== undefined &&
    (await prepareOverlay(images[0], options.overlay, options))
  // An overlay that was never served holds nothing.
  using unserved = {
    path: isMade ? options.overlay : undefined,
    [Symbol.dispose](): void {
      if (this.path !== undefined) fs.removeFileSync(this.path)
    },
  }
  using opened = new OpenedAll()
  for (const path of images) opened.add(await openExposedLater(path, exposureOptions(options), options))
  await using pool = new TaskPool(options.threads ?? defaultThreads())
  const disks = servings(opened.exposures, images, names, pool)
  let clients = 0
  let present = 0
  let leave: () => void = () => undefined
  const left = new Promise<void>((resolve) => {
    leave = resolve
  })
  const server = new NbdServer({
    disks,
    tls,
    onClients: (count) => {
      if (count > present) clients += count - present
      present = count
      if (count === 0 && options.persistent !== true) leave()
    },
    onClose: options.stream === undefined ? undefined : leave,
  })
  const { stream } = options
  // The one client knows where it is.
  const listening = stream === undefined ? await server.listen(options.endpoint) : options.endpoint
  unserved.path = undefined
  if (stream !== undefined) server.serve(stream)
  // Listening takes the path as it is, since long ones cannot be; clients may be in another folder.
  const endpoint: Endpoint = listening.kind === 'unix' ? { kind: 'unix', path: absolute(listening.path) } : listening
  try {
    if (stream === undefined)
      await options.onReady?.(readiness(opened.exposures, images, { endpoint, names, isMade, options }))
    await Promise.race([left, untilAborted(options.signal)])
  } finally {
    await server.close()
  }
  // What the clients wrote last, and did not flush.
  for (const { disk } of opened.exposures) disk.flush()
  return {
    clients,
    ended: options.signal?.aborted === true ? 'interrupted' : 'by the last client',
    seconds: (milliseconds() - started) / 1000,
  }
}

/** What is said once clients can connect. @param isMade whether the overlay was made now. */
function readiness(
  exposures: readonly Exposure[],
  images: readonly string[],
  about: {
    readonly endpoint: Endpoint
    readonly names: readonly string[]
    readonly isMade: boolean
    readonly options: ServeOptions
  },
): ServeReady {
  const { endpoint, names, isMade, options } = about
  const tls = options.tls !== undefined
  return {
    endpoint,
    tls,
    exports: exposures.map((exposure, index) =>
      served(exposure, images[index] ?? '', { endpoint, name: names[index] ?? '', tls }),
    ),
    overlay: options.overlay === undefined ? undefined : { path: options.overlay, made: isMade },
    notes: [...exposures.flatMap(({ notes }) => notes), ...openToAll(endpoint, options)],
  }
}

function servings(
  exposures: readonly Exposure[],
  images: readonly string[],
  names: readonly string[],
  pool: TaskPool,
): DiskServing[] {
  return exposures.map(
    ({ disk, format, part }, index) =>
      new DiskServing(disk, pool, {
        name: names[index] ?? '',
        description: `${printable(images[index] ?? '')} (${part === undefined ? '' : `${part}; `}${format})`,
      }),
  )
}

/** Images that are closed together. */
class OpenedAll implements Disposable {
  readonly exposures: Exposure[] = []

  add(exposure: Exposure): void {
    this.exposures.push(exposure)
  }

  [Symbol.dispose](): void {
    const errors: unknown[] = []
    for (const exposure of this.exposures) {
      try {
        exposure[Symbol.dispose]()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}

function checkModes(images: readonly string[], { overlay, write }: ServeOptions): void {
  if (images.length === 0) throw usage('E_NO_IMAGE', 'there is no image to serve')
  if (overlay === undefined) return
  if (write === true) throw usage('E_OVERLAY', 'changes go into the image or into an overlay, not both')
  if (images.length > 1)
    throw usage('E_OVERLAY', 'an overlay takes the changes of one image; serve the others on their own')
}

function exposureOptions(options: ServeOptions): Parameters<typeof openExposedLater>[1] {
  const { registry, parentFormat, allowReferences, search, parentMap, from, fromOptions, snapshot, overlay } = options
  const { allowInUse, allowOtherChildren, allowTableLoss } = options
  const mode = overlay !== undefined ? 'overlay' : options.write === true ? 'write' : 'read-only'
  return {
    mode,
    registry,
    parentFormat,
    allowReferences,
    search,
    parentMap,
    allowInUse,
    allowOtherChildren,
    allowTableLoss,
    from,
    fromOptions,
    snapshot,
    overlay,
  }
}

/** @throws ImageError usage E_NAME */
function exportNames(images: readonly string[], given: readonly string[] | undefined): string[] {
  if (given !== undefined && given.length !== images.length)
    throw usage('E_NAME', `${images.length} images were given, and ${given.length} names for them`)
  const names = given === undefined ? (images.length === 1 ? [''] : images.map((path) => lastPart(path))) : [...given]
  for (const [index, name] of names.entries()) {
    if (name.includes('\0') || Buffer.byteLength(name) > 4096)
      throw usage('E_NAME', `${printable(name)} cannot be the name of an export`)
    if (names.indexOf(name) !== index)
      throw usage('E_NAME', `two exports would have the name ${printable(name)}`, {
        hint: 'Give each a name of its own with --name.',
      })
  }
  return names
}

/** The most that a file with a key or certificates may have, in bytes: those of all authorities are a tenth of it. */
const longestPem = 4 * 1024 * 1024

/** @throws ImageError usage E_TLS */
function readCertificates({ certificate, key, authority }: NonNullable<ServeOptions['tls']>): ServerTls {
  const read = (path: string): string => {
    try {
      const text = boundedText(path, longestPem)
      if (text === undefined) throw new Error(`it has more than ${longestPem} bytes`)
      return text
    } catch (cause) {
      throw usage('E_TLS', `${printable(path)} cannot be read: ${systemReason(cause)}`, { cause })
    }
  }
  return {
    certificate: read(certificate),
    key: read(key),
    authority: authority === undefined ? undefined : read(authority),
  }
}

function served(
  { disk, part, format, subformat }: Exposure,
  path: string,
  { endpoint, name, tls }: { endpoint: Endpoint; name: string; tls: boolean },
): ServedExport {
  const { capacity, sectorSize, writable } = disk
  return {
    name,
    uri: nbdUri({ endpoint, name, tls }),
    path,
    format,
    subformat,
    part,
    capacity,
    sectorSize,
    writable,
  }
}

/** What is to be said of an export that others than this machine's users can reach. */
function openToAll(endpoint: Endpoint, { tls }: ServeOptions): Note[] {
  if (endpoint.kind === 'unix' || /^(127\.|::1$|localhost$)/.test(endpoint.host) || tls?.authority !== undefined)
    return []
  return [
    {
      code: 'W_OPEN_TO_ALL',
      message:
        `everybody who reaches ${endpoint.host}, port ${endpoint.port}, can use the ` +
        `exports${tls === undefined ? ', and read what goes over the network' : ''}`,
    },
  ]
}

function untilAborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) resolve()
    else signal?.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Where a server listens when nothing else is said: a socket of this process in the user's own folder. */
export function defaultSocket(): string {
  return inFolder(userRuntimeFolder() ?? temporaryFolder(), `vdisk-nbd-${ownPid()}.sock`)
}
