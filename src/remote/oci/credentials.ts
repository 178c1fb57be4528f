import { spawn } from 'node:child_process'
import { printable, usage } from '../../errors.js'
import { started } from '../../sys/commands.js'
import fs from '../../sys/host-fs.js'
import { keepSecret } from '../../sys/secrets.js'
import { isDockerHub, type OciReference } from './reference.js'

/** What opens a registry: a name and a password, or a token that others are had for. */
export type Credentials =
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'identity'; readonly token: string }

/** What a file of names and passwords may hold; nothing of it is known to be so. */
interface AuthFile {
  readonly auths?: Readonly<Record<string, { readonly auth?: unknown; readonly identitytoken?: unknown } | null>>
  readonly credHelpers?: Readonly<Record<string, unknown>>
  readonly credsStore?: unknown
}

/** The name under which docker keeps what opens Docker Hub. */
const hubKey = 'index.docker.io'
/** What a program of credentials says at most, in bytes, and how long it may take: it may ask its user. */
const longestAnswer = 1024 * 1024
const patience = 120_000
/** The name that such a program gives where the secret is an identity token. */
const tokenUser = '<token>'

/**
 * What the user has for a registry: the first of the files that has something for it counts. A program is started only
 * where a file names it for this registry, or for all. Nothing of the result is ever printed.
 * @throws ImageError usage E_OCI_LOGIN, where a file or a program cannot be understood.
 */
export async function credentialsFor(
  reference: OciReference,
  files: readonly string[],
): Promise<Credentials | undefined> {
  for (const file of files) {
    const found = await credentialsIn(file, reference)
    if (found === undefined) continue
    for (const secret of found.kind === 'password' ? [found.password] : [found.token]) keepSecret(secret, '…')
    return found
  }
  return undefined
}

async function credentialsIn(file: string, { registry, repository }: OciReference): Promise<Credentials | undefined> {
  const { auths = {}, credHelpers = {}, credsStore } = readAuthFile(file) ?? {}
  const host = isDockerHub(registry) ? hubKey : registry
  const helper = Object.entries(credHelpers).find(([name]) => hostOf(name) === host)?.[1] ?? credsStore
  if (typeof helper === 'string' && helper !== '') {
    const found = await askHelper(helper, isDockerHub(registry) ? `https://${hubKey}/v1/` : registry)
    if (found !== undefined) return found
  }
  const place = `${host}/${repository}`
  const [entry] = Object.entries(auths)
    .map(([key, value]) => ({ place: placeOf(key), value }))
    .filter((each) => place === each.place || place.startsWith(`${each.place}/`))
    .sort((one, other) => other.place.length - one.place.length)
  const { auth, identitytoken } = entry?.value ?? {}
  if (typeof identitytoken === 'string' && identitytoken !== '') return { kind: 'identity', token: identitytoken }
  if (typeof auth !== 'string' || auth === '') return undefined
  const pair = Buffer.from(auth, 'base64').toString()
  const colon = pair.indexOf(':')
  if (colon < 1) throw unusable(file, `what it has for ${printable(host)} is no name and password`)
  keepSecret(auth, '…')
  // Some programs fill it up with NULs.
  return { kind: 'password', user: pair.slice(0, colon), password: pair.slice(colon + 1).replace(/\0+$/, '') }
}

function readAuthFile(file: string): AuthFile | undefined {
  let text: string
  try {
    text = fs.readFileSync(file, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unusable(file, 'it cannot be read', cause)
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // What the parser says would show a part of it.
  }
  throw unusable(file, 'it is no JSON object')
}

/** A key of docker is an address (`https://index.docker.io/v1/`); others are a host, and maybe a part of a name. */
function placeOf(key: string): string {
  return /^https?:\/\//i.test(key) ? hostOf(key) : key.replace(/\/+$/, '').replace(/^(?:docker\.io)(?=$|\/)/, hubKey)
}

function hostOf(key: string): string {
  const host = key.replace(/^https?:\/\//i, '').split('/')[0] ?? ''
  return isDockerHub(host) ? hubKey : host.toLowerCase()
}

/** Asks `docker-credential-NAME get`. @returns undefined where it has nothing. */
async function askHelper(name: string, server: string): Promise<Credentials | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name))
    throw usage('E_OCI_LOGIN', `${printable(name)} is no name of a program that keeps passwords`)
  const program = `docker-credential-${name}`
  const { code, output } = await said(program, server)
  if (code !== 0 && /credentials not found/i.test(output)) return undefined
  const answer = parsed(output)
  const { Username: user, Secret: secret } = answer ?? {}
  if (code !== 0 || typeof user !== 'string' || typeof secret !== 'string')
    throw usage('E_OCI_LOGIN', `${program} does not say what opens ${printable(server)}`, {
      hint: 'Log in again with docker login or skopeo login.',
    })
  if (secret === '') return undefined
  return user === tokenUser ? { kind: 'identity', token: secret } : { kind: 'password', user, password: secret }
}

function parsed(text: string): { readonly Username?: unknown; readonly Secret?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

function said(program: string, input: string): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const child = started(spawn(program, ['get'], { stdio: ['pipe', 'pipe', 'ignore'], timeout: patience }))
    const parts: Buffer[] = []
    let length = 0
    child.stdout.on('data', (bytes: Buffer) => {
      length += bytes.length
      if (length <= longestAnswer) parts.push(bytes)
    })
    child.on('error', (cause) =>
      reject(usage('E_OCI_LOGIN', `${program}, which is to know the password, cannot be started`, { cause })),
    )
    // It need not read what it is asked.
    child.stdin.on('error', () => undefined)
    child.on('close', (code) => resolve({ code, output: Buffer.concat(parts).toString() }))
    child.stdin.end(`${input}\n`)
  })
}

function unusable(file: string, why: string, cause?: unknown): Error {
  return usage('E_OCI_LOGIN', `${printable(file)}, where names and passwords of registries are: ${why}`, { cause })
}
