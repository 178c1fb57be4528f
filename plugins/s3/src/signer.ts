import { createHash } from 'node:crypto'
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
    const digest = createHash('sha256')
      .update(body ?? '')
      .digest('hex')
    const credentials = this.#current()
    if (credentials === undefined) return {}
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

  explain(status: number, body: string): Explanation | undefined {
    return explanationOf(status, body, this.#credentials !== undefined)
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

const noCredentials = 'No credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.'

/** What an error of S3 means. Only words of S3 are shown. */
export function explanationOf(status: number, body: string, isSigned: boolean): Explanation | undefined {
  const code = textIn(body, 'Code')
  if (code === undefined)
    return status === 403 && !isSigned ? { message: 'the request is not signed', hint: noCredentials } : undefined
  return {
    message: /^\w{1,64}$/.test(code) ? code : 'an answer that is none of S3',
    hint: hintOf(code, textIn(body, 'Region'), isSigned),
    passes: passing.test(code),
  }
}

function hintOf(code: string, region: string | undefined, isSigned: boolean): string | undefined {
  if (/^(?:ExpiredToken|TokenRefreshRequired|InvalidToken)$/.test(code))
    return 'The credentials have expired: get new ones, and run the command again.'
  if (/^(?:InvalidAccessKeyId|SignatureDoesNotMatch)$/.test(code))
    return 'Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in AWS_PROFILE.'
  if (code === 'RequestTimeTooSkewed') return "This computer's clock differs from the server's."
  if (region !== undefined && /^[a-z0-9-]{1,40}$/.test(region))
    return `The bucket is in another region: AWS_REGION=${region}`
  if (code === 'AccessDenied') return isSigned ? 'The credentials may not do this.' : noCredentials
  return undefined
}
