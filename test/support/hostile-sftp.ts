import fs from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openFlag, PacketReader, PacketWriter, packetType, statusCode } from '../../src/remote/ssh/sftp-packets.js'
import { dataReply, extensionOf, serveSftp, statusReply, type SftpRequest, type Wrong } from './sftp-server.js'

type Reply = NonNullable<Wrong['reply']>

/** Answers requests of one type only. */
const only = (wanted: number, make: Reply): { readonly reply: Reply } => ({
  reply: (request, honest) => (request.type === wanted ? make(request, honest) : undefined),
})
/** Answers requests of extensions only. */
const onlyExtended = (names: RegExp, make: Reply): { readonly reply: Reply } => ({
  reply: (request, honest) => (names.test(extensionOf(request)) ? make(request, honest) : undefined),
})

/** How often something was asked for. */
let count = 0
let isHushed = false
const held: Buffer[] = []
const unlucky = 4

/** Ends at once. @param last still arrives. */
function end(last: Uint8Array = Buffer.alloc(0), code = 255): never {
  for (let done = 0; done < last.length;) done += fs.writeSync(1, last, done)
  process.exit(code)
}

/** The first few as they should be. */
const later =
  (make: Reply): Reply =>
  (request, honest) =>
    ++count > 4 ? make(request, honest) : honest()

function opensToWrite({ body }: SftpRequest): boolean {
  const parts = new PacketReader(body)
  parts.string()
  return Math.floor(parts.number() / openFlag.write) % 2 === 1
}

const naming = /^(?:hardlink|posix-rename)@/
const bare = (bytes: number[]): Buffer => Buffer.from(bytes)

/** What the server of each host does wrong. */
const wrongs: Readonly<Record<string, Wrong>> = {
  honest: {},
  // Right, however odd.
  'short-reads': only(packetType.read, ({ id }, honest) => {
    const reply = honest()
    const bytes = reply.subarray(13)
    return reply[4] === packetType.data ? dataReply(id, bytes.subarray(0, 1 + (count++ % 20_000))) : reply
  }),
  'out-of-order': only(packetType.read, (_request, honest) => {
    held.push(honest())
    setImmediate(() => process.stdout.write(Buffer.concat(held.splice(0).reverse())))
    return 'silent'
  }),
  'many-extensions': { extensions: Array.from({ length: 1000 }, (_, index) => `x${index}@example.org`) },
  'limits-zero': { limits: 0n },
  'limits-huge': { limits: 2n ** 64n - 1n },
  'limits-refused': {
    limits: 0n,
    ...onlyExtended(/^limits/, ({ id }) => statusReply(id, statusCode.unsupported)),
  },
  // Not as SFTP has to be.
  'limits-one': { limits: 1n },
  'limits-short': {
    limits: 0n,
    ...onlyExtended(/^limits/, ({ id }) => new PacketWriter().number(1).finish(packetType.extendedReply, id)),
  },
  'extension-cut': { version: () => new PacketWriter().number(3).number(40).finish(packetType.version) },
  'old-version': { version: () => new PacketWriter().number(2).finish(packetType.version) },
  banner: { version: () => Buffer.from('Welcome to this machine!\n') },
  'wrong-id': only(packetType.open, (_request, honest) => {
    const reply = honest()
    reply.writeUInt32BE(4_000_000_000, 5)
    return reply
  }),
  'double-reply': only(packetType.open, (_request, honest) => {
    const reply = honest()
    return Buffer.concat([reply, reply])
  }),
  'huge-packet': only(packetType.read, () => bare([255, 255, 255, 255, packetType.data])),
  'empty-packet': only(packetType.read, () => bare([0, 0, 0, 0, packetType.data])),
  'long-reads': only(packetType.read, ({ id }) => dataReply(id, Buffer.alloc(262_000, 7))),
  'empty-data': only(packetType.read, ({ id }) => dataReply(id, Buffer.alloc(0))),
  'data-overrun': only(packetType.read, ({ id }) => new PacketWriter().number(0xffffffff).finish(packetType.data, id)),
  'done-for-data': only(packetType.read, ({ id }) => statusReply(id, statusCode.ok)),
  'handle-for-data': only(packetType.read, ({ id }) => new PacketWriter().string('h').finish(packetType.handle, id)),
  'long-handle': only(packetType.open, ({ id }) =>
    new PacketWriter().string(Buffer.alloc(257)).finish(packetType.handle, id),
  ),
  'data-for-handle': only(packetType.open, ({ id }) => dataReply(id, Buffer.from('h'))),
  'done-for-handle': only(packetType.open, ({ id }) => statusReply(id, statusCode.ok)),
  'no-size': only(packetType.fstat, ({ id }) => new PacketWriter().number(0).finish(packetType.attributes, id)),
  'huge-size': only(packetType.fstat, ({ id }) =>
    new PacketWriter().number(1).number(0x80000000).number(0).finish(packetType.attributes, id),
  ),
  // The file is not as it was.
  shrinks: only(
    packetType.read,
    later(({ id }) => statusReply(id, statusCode.endOfFile)),
  ),
  'is-written': only(packetType.fstat, (_request, honest) => {
    const found = honest()
    if (count++ > 0) found.writeUInt32BE(1, found.length - 4)
    return found
  }),
  // Refusals.
  'read-fails': only(packetType.read, ({ id }) => statusReply(id, unlucky, 'bad \u001b[31msector\u0007')),
  'write-fails': only(
    packetType.write,
    later(({ id }) => statusReply(id, unlucky, 'no luck')),
  ),
  'flush-fails': onlyExtended(/^fsync/, ({ id }) => statusReply(id, unlucky, 'no luck')),
  'truncate-fails': only(packetType.fsetstat, ({ id }) => statusReply(id, unlucky, 'no luck')),
  'close-fails': only(packetType.close, ({ id }, honest) => {
    honest()
    return statusReply(id, unlucky, 'quota')
  }),
  'folder-closed': only(packetType.open, (request, honest) =>
    opensToWrite(request) ? statusReply(request.id, statusCode.permissionDenied, 'Permission denied') : honest(),
  ),
  'data-for-write': only(packetType.write, ({ id }) => dataReply(id, Buffer.from('x'))),
  // Says that it was written, and it was not.
  'loses-writes': only(packetType.write, ({ id }, honest) => (++count % 3 === 0 ? statusReply(id, 0) : honest())),
  'loses-tail': {
    reply: (request, honest) =>
      request.type === packetType.fsetstat || (request.type === packetType.write && ++count > 4)
        ? statusReply(request.id, 0)
        : honest(),
  },
  // Silence, and ends.
  'silent-start': { version: () => Buffer.alloc(0) },
  'silent-open': only(packetType.open, () => 'silent'),
  'silent-read': only(
    packetType.read,
    later(() => 'silent'),
  ),
  'silent-write': only(
    packetType.write,
    later(() => 'silent'),
  ),
  // As long as there is a file of that name where it is started.
  'hushed-write': only(packetType.write, (_request, honest) => {
    isHushed ||= ++count > 1200 && fs.existsSync('hush')
    return isHushed ? 'silent' : honest()
  }),
  'cut-start': { version: () => end() },
  'cut-open': only(packetType.open, () => end()),
  'cut-packet': only(
    packetType.read,
    later((_request, honest) => end(honest().subarray(0, 500))),
  ),
  'cut-write': only(
    packetType.write,
    later(() => end()),
  ),
  'cut-flush': onlyExtended(/^fsync/, () => end()),
  // Somebody else has the name before.
  appears: onlyExtended(naming, ({ body }, honest) => {
    const parts = new PacketReader(body)
    parts.string()
    parts.string()
    fs.writeFileSync(parts.string(), 'somebody else')
    return honest()
  }),
  // The file has its name, and nobody hears of it; and: it has not.
  'cut-named': onlyExtended(naming, (_request, honest) => {
    honest()
    return end()
  }),
  'cut-unnamed': onlyExtended(naming, () => end()),
}

/**
 * Makes a program that vdisk can start in place of ssh: it is a server of SFTP, and the name of the host in the address
 * says what it does wrong (`sftp://short-reads/…`). On its side is no vdisk, or one that does wrong (`served-cut`).
 * @returns its path, for `VDISK_SSH`.
 */
export function hostileSftp(folder: string): string {
  const path = join(folder, 'hostile-ssh')
  const own = fileURLToPath(import.meta.url)
  fs.writeFileSync(path, `#!/bin/sh\nexec "${process.execPath}" "${own}" "$@"\n`, { mode: 0o755 })
  return path
}

/** What ssh is given: options, the host, and what is to run there. */
function main(words: readonly string[]): void {
  const [host = '', command = ''] = words.slice(words.indexOf('--') + 1)
  if (command !== 'sftp') serveWrongly(host)
  else serveHost(host)
}

/** The greeting of an NBD server. */
const greeting = Buffer.from('NBDMAGICIHAVEOPT\u0000\u0003', 'latin1')

/** What stands in place of the vdisk of the other side, by the name of the host; none where it says nothing of it. */
function serveWrongly(host: string): void {
  const said: Readonly<Record<string, Buffer>> = {
    'served-banner': Buffer.from('Welcome to this machine! It has news for you: there are none.\n'),
    'served-cut': greeting.subarray(0, 11),
    'served-greeting': greeting,
    'served-silent': Buffer.alloc(0),
  }
  if (host === 'served-refuses') process.exit(3)
  const bytes = said[host]
  if (bytes === undefined) process.exit(127)
  if (host !== 'served-silent') end(bytes, 1)
  process.stdin.on('end', () => process.exit(0)).resume()
}

function serveHost(host: string): void {
  const wrong = wrongs[host.startsWith('served-') ? 'honest' : host]
  if (wrong === undefined) throw new RangeError(`no server does ${host} wrong`)
  serveSftp(wrong)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2))
