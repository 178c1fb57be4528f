import { printable, usage, type Label } from '../../errors.js'
import { isPlainText } from '../../sys/host-fs.js'
import { keepSecret } from '../../sys/secrets.js'

/** An image in a registry, as its address names it. */
export interface OciReference {
  /** As typed, lower case, with a port where one was given: `docker.io`, `localhost:5000`. */
  readonly registry: string
  /** `team/images/debian` */
  readonly repository: string
  /** Undefined where a digest alone is named. */
  readonly tag: string | undefined
  /** `sha256:…`; what the tag leads to then does not matter. */
  readonly digest: string | undefined
  /** Which of several disks in it is meant. */
  readonly member: string | undefined
  readonly label: Label
}

const form = /^(?:oci|docker):\/\/([^/]*)\/([^:@]*)(?::([^@]*))?(?:@((?!disk=)[^@]*))?(?:@disk=(.+))?$/is
// The rules of the specification ("Pulling manifests"); of hosts what RFC 3986 has of names, and addresses of IPv6.
const hostForm = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/
const repositoryForm = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const tagForm = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const longestRepository = 255
const usualTag = 'latest'

/** Whether a text is a digest of a kind that is compared here. */
export function isDigest(text: string): boolean {
  return /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/.test(text)
}

/** @throws ImageError usage E_OCI_URL. */
export function parseOciReference(text: string): OciReference {
  const wrong = (why: string): Error =>
    usage('E_OCI_URL', `${printable(text)} is no address of an image in a registry: ${why}`, {
      hint: 'For example oci://registry.example/team/debian:12, or …/debian@sha256:… for one that never changes.',
    })
  const userinfo = /^[a-z]+:\/\/([^/]*)@/i.exec(text)?.[1]
  if (userinfo !== undefined) {
    keepSecret(userinfo, '…')
    throw wrong('it takes no name and password, which skopeo login or docker login keeps')
  }
  if (!isPlainText(text)) throw wrong('it is not UTF-8')
  const [, host, repository, tag, digest, member] = form.exec(text) ?? []
  if (host === undefined || repository === undefined) throw wrong('it has to be oci://, a registry, / and a name')
  const registry = registryIn(host, wrong)
  if (repository.length > longestRepository || !repositoryForm.test(repository))
    throw wrong('names of images have lower case letters, digits, and . _ - between them')
  return {
    registry,
    // Docker Hub has its own images there.
    repository: isDockerHub(registry) && !repository.includes('/') ? `library/${repository}` : repository,
    ...versionIn(tag, digest, wrong),
    member,
    label: printable(`oci://${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${at(digest)}`),
  }
}

type Wrong = (why: string) => Error

const at = (digest: string | undefined): string => (digest === undefined ? '' : `@${digest}`)

function registryIn(host: string, wrong: Wrong): string {
  const registry = host.toLowerCase()
  const port = Number(/:(\d+)$/.exec(registry)?.[1] ?? 443)
  if (!hostForm.test(registry) || port < 1 || port > 65535) throw wrong('the name of the registry is none')
  if (!/[.:]/.test(registry) && registry !== 'localhost')
    throw wrong(`${registry} is no registry; those of Docker Hub are docker.io/library/NAME`)
  return registry
}

function versionIn(
  tag: string | undefined,
  digest: string | undefined,
  wrong: Wrong,
): Pick<OciReference, 'tag' | 'digest'> {
  if (tag !== undefined && !tagForm.test(tag)) throw wrong('the tag is none')
  if (digest !== undefined && !isDigest(digest)) throw wrong('the digest is no sha256: with 64 hexadecimal digits')
  return { tag: tag ?? (digest === undefined ? usualTag : undefined), digest }
}

/** What a manifest is asked for by. */
export function wantedManifest({ digest, tag }: Pick<OciReference, 'digest' | 'tag'>): string {
  return digest ?? tag ?? usualTag
}

export function isDockerHub(registry: string): boolean {
  return registry === 'docker.io' || registry === 'index.docker.io'
}

/** The address of a repository, with a slash at its end. @param plain hosts that are spoken to by http. */
export function repositoryUrl({ registry, repository }: OciReference, plain: readonly string[]): string {
  const host = isDockerHub(registry) ? 'registry-1.docker.io' : registry
  return `${isPlain(registry, plain) ? 'http' : 'https'}://${host}/v2/${repository}/`
}

/** Whether a host is spoken to without TLS: it is listed, with its port or without. */
function isPlain(registry: string, plain: readonly string[]): boolean {
  const name = registry.replace(/:\d+$/, '')
  return plain.includes(registry) || plain.includes(name) || (plain.includes('localhost') && isLoopback(name))
}

export function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(name)
}
