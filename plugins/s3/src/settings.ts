import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** What requests are signed with. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** When they end, in milliseconds since 1970; undefined: not known. */
  readonly expires?: number
}

/** How a store is reached, as the environment and the profile say. */
export interface Settings {
  readonly region: string
  /** Another store than Amazon's: `http://127.0.0.1:9000`. */
  readonly endpoint?: string
  /** Whether the bucket stands in the path of an address, and not in front of the host's name. */
  readonly isPathStyle: boolean
  /** Bytes of a part of an upload, at least; the last may be smaller. */
  readonly partLength: number
  /** Undefined: requests are not signed, as of objects that everybody may read. */
  readonly credentials?: Credentials
}

type Variables = Readonly<Record<string, string | undefined>>
type Section = Readonly<Record<string, string>>

/** Something that the user has to mend in the settings; callers make a usage error of it. */
export class SettingsError extends Error {}

/**
 * The settings of one run: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, else the profile
 * `AWS_PROFILE` of the files of AWS's own programs (`AWS_SHARED_CREDENTIALS_FILE`, `AWS_CONFIG_FILE`), with its keys or
 * its `credential_process`; `AWS_REGION`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, `VDISK_S3_PART_MIB`, and
 * `VDISK_S3_ADDRESSING`, which is `path` or `virtual`. @throws SettingsError
 */
export function settingsOf(variables: Variables): Settings {
  const value = (...names: readonly string[]): string | undefined =>
    names.map((name) => variables[name]).find((found) => found !== undefined && found !== '')
  const profile = profileOf(variables, value('AWS_PROFILE', 'AWS_DEFAULT_PROFILE'))
  const endpoint = value('AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL') ?? profile['endpoint_url']
  const addressing = value('VDISK_S3_ADDRESSING') ?? (endpoint === undefined ? 'virtual' : 'path')
  if (addressing !== 'path' && addressing !== 'virtual')
    throw new SettingsError('VDISK_S3_ADDRESSING is path or virtual')
  return {
    region: value('AWS_REGION', 'AWS_DEFAULT_REGION') ?? profile['region'] ?? 'us-east-1',
    endpoint: endpoint === undefined ? undefined : checkedEndpoint(endpoint),
    isPathStyle: addressing === 'path',
    partLength: partLengthOf(value('VDISK_S3_PART_MIB')),
    credentials: ofVariables(value) ?? ofProfile(profile),
  }
}

/** S3 takes parts of 5 MiB to 5 GiB. */
function partLengthOf(text = '16'): number {
  const mebibytes = Number(text)
  if (!Number.isInteger(mebibytes) || mebibytes < 5 || mebibytes > 5120)
    throw new SettingsError('VDISK_S3_PART_MIB is a whole number from 5 to 5120')
  return mebibytes * 1_048_576
}

function checkedEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.username !== '')
    throw new SettingsError('the endpoint is no address of a server, such as https://s3.example')
  return url.href.replace(/\/+$/, '')
}

function ofVariables(value: (name: string) => string | undefined): Credentials | undefined {
  const [accessKeyId, secretAccessKey] = [value('AWS_ACCESS_KEY_ID'), value('AWS_SECRET_ACCESS_KEY')]
  if (accessKeyId === undefined && secretAccessKey === undefined) return undefined
  if (accessKeyId === undefined || secretAccessKey === undefined)
    throw new SettingsError('of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set')
  return { accessKeyId, secretAccessKey, sessionToken: value('AWS_SESSION_TOKEN') }
}

function ofProfile(profile: Section): Credentials | undefined {
  const { aws_access_key_id: accessKeyId, aws_secret_access_key: secretAccessKey } = profile
  if (accessKeyId !== undefined && secretAccessKey !== undefined)
    return { accessKeyId, secretAccessKey, sessionToken: profile['aws_session_token'] }
  const command = profile['credential_process']
  if (command !== undefined) return ofProcess(command)
  if (Object.keys(profile).some((name) => /^sso_|^role_arn$|^login_session$/.test(name)))
    throw new SettingsError(
      'the profile is one that the AWS command line signs in to; before vdisk, run: ' +
        'eval "$(aws configure export-credentials --format env)"',
    )
  return undefined
}

/** What a program of the user's prints (AWS: sourcing credentials with an external process). */
function ofProcess(command: string): Credentials {
  let found: Readonly<Record<string, unknown>>
  try {
    const text = execFileSync('/bin/sh', ['-c', command], {
      encoding: 'utf8',
      timeout: 60_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    found = JSON.parse(text) as typeof found
  } catch {
    // What it printed may hold secrets.
    throw new SettingsError('the credential_process of the profile failed')
  }
  const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken, Expiration } = found
  if (typeof accessKeyId !== 'string' || typeof secretAccessKey !== 'string')
    throw new SettingsError('the credential_process of the profile gives no keys')
  const expires = typeof Expiration === 'string' ? Date.parse(Expiration) : NaN
  return {
    accessKeyId,
    secretAccessKey,
    sessionToken: typeof SessionToken === 'string' ? SessionToken : undefined,
    expires: Number.isNaN(expires) ? undefined : expires,
  }
}

/** What both files say of a profile; the file of credentials wins. @throws SettingsError for one that is in neither. */
function profileOf(variables: Variables, named: string | undefined): Section {
  const name = named ?? 'default'
  const folder = path.join(os.homedir(), '.aws')
  const config = sectionsOf(variables['AWS_CONFIG_FILE'] ?? path.join(folder, 'config'))
  const credentials = sectionsOf(variables['AWS_SHARED_CREDENTIALS_FILE'] ?? path.join(folder, 'credentials'))
  const found = [config.get(name === 'default' ? name : `profile ${name}`), credentials.get(name)]
  if (named !== undefined && found.every((section) => section === undefined))
    throw new SettingsError(`there is no profile ${JSON.stringify(named)}`)
  return Object.assign({}, ...found) as Section
}

/** Sections of a file of AWS's; nested values (indented lines) are left out. */
function sectionsOf(file: string): Map<string, Record<string, string>> {
  const sections = new Map<string, Record<string, string>>()
  if (!fs.existsSync(file)) return sections
  let section: Record<string, string> = {}
  for (const line of fs.readFileSync(file, 'utf8').split(/\r?\n/)) {
    const title = /^\[\s*(.*?)\s*\]/.exec(line)?.[1]
    if (title !== undefined) {
      section = {}
      sections.set(title, section)
      continue
    }
    const [, name, value] = /^(\w+)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) section[name] = value
  }
  return sections
}
