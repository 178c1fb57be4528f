import { printable, usage } from '../../errors.js'
import { optionsOf } from '../http/environment.js'
import type { ReaderOptions } from '../http/reader-options.js'

/** How registries are spoken to. */
export interface OciOptions {
  readonly http: ReaderOptions
  /** Hosts that are spoken to without TLS; `localhost` stands for all addresses of this computer. */
  readonly plain: readonly string[]
  /** Which of several images is read: `linux/arm64`, `linux/arm/v7`. Undefined: that of this computer. */
  readonly platform: string | undefined
  /** Files that may hold names and passwords, the first that has one for the registry counts. */
  readonly authFiles: readonly string[]
}

type Variables = Readonly<Record<string, string | undefined>>

/**
 * As the environment says: `VDISK_OCI_HTTP` (hosts that are spoken to without TLS), `VDISK_OCI_PLATFORM`, the files of
 * containers-auth.json(5) and of docker, and `VDISK_HTTP_TIMEOUT`, `VDISK_HTTP_CONNECTIONS` and proxies.
 * @throws ImageError usage E_OPTION; as optionsOf.
 */
export function ociOptionsOf(variables: Variables): OciOptions {
  const platform = filled(variables['VDISK_OCI_PLATFORM'])
  if (platform !== undefined && !/^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/.test(platform))
    throw usage('E_OPTION', `VDISK_OCI_PLATFORM is ${printable(platform)}, and has to be as linux/amd64`)
  return {
    // Headers are for the server that an http address names.
    http: { ...optionsOf({ ...variables, VDISK_HTTP_HEADERS: undefined }) },
    plain: (variables['VDISK_OCI_HTTP'] ?? 'localhost')
      .split(/[\s,]+/)
      .filter((host) => host !== '')
      .map((host) => host.toLowerCase()),
    platform,
    authFiles: authFilesOf(variables),
  }
}

function authFilesOf(variables: Variables): string[] {
  const [chosen, runtime, config, home, docker] = [
    'REGISTRY_AUTH_FILE',
    'XDG_RUNTIME_DIR',
    'XDG_CONFIG_HOME',
    'HOME',
    'DOCKER_CONFIG',
  ].map((name) => filled(variables[name]))
  if (chosen !== undefined) return [chosen]
  const settings = config ?? (home === undefined ? undefined : `${home}/.config`)
  const dockers = docker ?? (home === undefined ? undefined : `${home}/.docker`)
  return [
    ...(runtime === undefined ? [] : [`${runtime}/containers/auth.json`]),
    ...(settings === undefined ? [] : [`${settings}/containers/auth.json`]),
    ...(dockers === undefined ? [] : [`${dockers}/config.json`]),
  ]
}

function filled(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}
