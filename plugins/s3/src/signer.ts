import { webcrypto } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { AwsV4Signer } from 'aws4fetch'
import type { Explanation, Signer, UnsignedRequest } from 'vdisk'
import { settingsOf, type Credentials, type Settings } from './settings.js'
import { textIn } from './xml.js'

/** What a thread signs with. */
export type SigningData = Pick<Settings, 'region' | 'credentials'>

/** Credentials are asked for again so long before they end, in milliseconds. */
const refreshAhead = 300_000
/** What S3 says when the same request may be answered otherwise later. */
const passing = /^(?:SlowDown|InternalError|ServiceUnavailable|RequestTimeout|OperationAborted|Busy)$/

/** Signs requests (Signature Version 4), in whatever thread sends them, and says what refusals mean. */
export default function signer(data: SigningData): Signer {
  return new S3Signer(data)
}

class S3Signer implements Signer {
  readonly #region: string
  #credentials: Credentials | undefined

  constructor({ region, credentials }: SigningData) {
    this.#region = region
    this.#credentials = credentials
  }

  async sign({ method, url, headers, body }: UnsignedRequest): Promise<Readonly<Record<string, string>>> {
    const credentials = this.#current()
    if (credentials === undefined) return {}
    const digest = isCovered(url, headers) ? 'UNSIGNED-PAYLOAD' : await sha256(body ?? new Uint8Array(0))
    // What lies between may change other headers.
    const signed = Object.entries(headers).filter(([name]) => /^(?:x-amz-|content-md5$|if-)/i.test(name))
    const { headers: all } = await new AwsV4Signer({
      method,
      url: url.href,
      headers: { ...Object.fromEntries(signed), 'x-amz-content-sha256': digest },
      accessKeyId: credentials.accessKeyId,
      secretAccessKey: credentials.secretAccessKey,
      sessionToken: credentials.sessionToken,
      service: 's3',
      region: this.#region,
    }).sign()
    const added: Record<string, string> = {}
    all.forEach((value, name) => {
      if (name !== 'host') added[name] = value
    })
    return added
  }

  explain(status: number, body: string, headers: IncomingHttpHeaders): Explanation | undefined {
    return explanationOf(status, body, { isSigned: this.#credentials !== undefined, headers })
  }

  /** Those that end soon are asked for again; where that fails the server says what it thinks of the old ones. */
  #current(): Credentials | undefined {
    const { expires } = this.#credentials ?? {}
    if (expires !== undefined && expires - Date.now() < refreshAhead) {
      try {
        this.#credentials = settingsOf(process.env).credentials ?? this.#credentials
      } catch {
        return this.#credentials
      }
    }
    return this.#credentials
  }
}

const mayNot = 'The credentials may not do this.'
const noCredentials = 'No credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.'

/**
 * Whether nobody can change a body unnoticed although it is not signed, as AWS's programs have it: TLS keeps it on its
 * way, and its MD5, which is signed, is compared by the server.
 */
function isCovered(url: URL, headers: UnsignedRequest['headers']): boolean {
  return url.protocol === 'https:' && headers['Content-MD5'] !== undefined
}

/** By a thread of Node's: this one goes on meanwhile. */
async function sha256(bytes: Uint8Array): Promise<string> {
  return Buffer.from(await webcrypto.subtle.digest('SHA-256', bytes)).toString('hex')
}

/** What is known of an answer that says no, beside its text. */
interface Refused {
  /** Whether the request was signed. */
  readonly isSigned: boolean
  readonly headers: IncomingHttpHeaders
}

/** What an error of S3 means. Only words of S3 are shown. */
export function explanationOf(status: number, body: string, { isSigned, headers }: Refused): Explanation | undefined {
  const code = textIn(body, 'Code')
  const region = regionOf(status, textIn(body, 'Region') ?? headers['x-amz-bucket-region'])
  if (code !== undefined)
    return {
      message: /^\w{1,64}$/.test(code) ? code : 'an answer that is none of S3',
      hint: region ?? hintOf(code, isSigned),
      passes: passing.test(code),
    }
  if (region !== undefined) return { message: 'the bucket is not there', hint: region }
  if (status !== 401 && status !== 403) return undefined
  return isSigned
    ? { message: 'no reason is given', hint: mayNot }
    : { message: 'the request is not signed', hint: noCredentials }
}

/** A bucket that is not where it was asked for: redirections, and signatures for another region. */
function regionOf(status: number, region: string | string[] | undefined): string | undefined {
  const isElsewhere = [301, 307, 400].includes(status)
  return isElsewhere && typeof region === 'string' && /^[a-z0-9-]{1,40}$/.test(region)
    ? `The bucket is in another region: AWS_REGION=${region}`
    : undefined
}

function hintOf(code: string, isSigned: boolean): string | undefined {
  if (/^(?:ExpiredToken|TokenRefreshRequired|InvalidToken)$/.test(code))
    return 'The credentials have expired: get new ones, and run the command again.'
  if (/^(?:InvalidAccessKeyId|SignatureDoesNotMatch)$/.test(code))
    return 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in AWS_PROFILE.'
  if (code === 'RequestTimeTooSkewed') return "This computer's clock differs from the server's."
  if (/^(?:Permanent|Temporary)Redirect$/.test(code))
    return 'The bucket is in another region: set AWS_REGION to that one.'
  if (code === 'AccessDenied') return isSigned ? mayNot : noCredentials
  return undefined
}
